"""Which linear layers of which blocks a task owns; it shares all others.

    gates = "det: 3.qkv 4.all; seg: 5.fc1 5.fc2"

Source: ViT-MVT (2023), layer-adaptive sharing: a gate for each of qkv, proj, fc1 and fc2; here for each task.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mtvit_core.errors import ConfigError

#: The linear layers of a block that have gates, in the order of tables of gates.
LINEARS = ("qkv", "proj", "fc1", "fc2")
#: Texts for the two ends.
SHARED, OWN = "shared", "own"


@dataclass(frozen=True)
class Gates:
    """Gates of some tasks.

    Attributes:
        tasks: Names of the tasks.
        depth: Number of blocks.
        own: Task, block and linear layer of every copy that a task owns.
    """

    tasks: tuple[str, ...]
    depth: int
    own: frozenset[tuple[str, int, str]] = frozenset()

    @classmethod
    def of(cls, tasks: Sequence[str], depth: int, table: Sequence[Sequence[Sequence[float]]]) -> "Gates":
        """Return the gates that a table holds.

        Args:
            tasks: Names of the tasks.
            depth: Number of blocks.
            table: By block, task and linear layer, for the last blocks: above 0.5, shared; else own.
        """
        first = depth - len(table)
        owned = {
            (task, first + i, linear)
            for i, block in enumerate(table)
            for task, row in zip(tasks, block, strict=True)
            for linear, gate in zip(LINEARS, row, strict=True)
            if gate <= 0.5
        }
        return cls(tuple(tasks), depth, frozenset(owned))

    @classmethod
    def parse(cls, text: str, tasks: Sequence[str], depth: int, first: int = 0) -> "Gates":
        """Read what ``str`` wrote, or a person.

        Args:
            text: ``shared``, ``own``, or what each task owns, as ``det: 3.qkv 4.all; seg: 5.fc1``.
            tasks: Names of the tasks.
            depth: Number of blocks.
            first: The first block that a task may own anything of.

        Raises:
            ConfigError: it cannot be read, or names a task, a block or a layer that is not there.
        """
        if text == SHARED:
            return cls(tuple(tasks), depth)
        if text == OWN:
            every = {(task, i, linear) for task in tasks for i in range(first, depth) for linear in LINEARS}
            return cls(tuple(tasks), depth, frozenset(every))
        owned = set()
        for part in filter(None, (part.strip() for part in text.split(";"))):
            task, colon, layers = part.partition(":")
            if not colon or task.strip() not in tasks:
                raise ConfigError(
                    f"gates: {part!r} names none of the tasks {', '.join(tasks)}; write what a task owns as "
                    "'det: 3.qkv 4.all', parts separated by ';', or one of 'shared' and 'own'."
                )
            owned |= {
                (task.strip(), *layer) for word in layers.split() for layer in _read(word, first, depth)
            }
        return cls(tuple(tasks), depth, frozenset(owned))

    def __str__(self) -> str:
        """Return a text that ``parse`` reads."""
        parts = {task: " ".join(self._words(task)) for task in self.tasks}
        return "; ".join(f"{task}: {words}" for task, words in parts.items() if words) or SHARED

    def _words(self, task: str) -> Iterator[str]:
        for block in range(self.depth):
            owned = self.owned(task, block)
            if len(owned) == len(LINEARS):
                yield f"{block}.all"
            else:
                yield from (f"{block}.{linear}" for linear in LINEARS if linear in owned)

    def owned(self, task: str, block: int) -> frozenset[str]:
        """Return the linear layers of a block that a task owns."""
        return frozenset(linear for linear in LINEARS if (task, block, linear) in self.own)

    def owners(self, block: int, linear: str) -> tuple[str, ...]:
        """Return the tasks that own a linear layer of a block."""
        return tuple(task for task in self.tasks if (task, block, linear) in self.own)

    def shared_by_none(self) -> list[tuple[int, str]]:
        """Return block and linear layer of which every task owns a copy."""
        every = [(block, linear) for block in range(self.depth) for linear in LINEARS]
        return [layer for layer in every if len(self.owners(*layer)) == len(self.tasks)]

    def leaves(self, task: str) -> int:
        """Return the first block of which a task owns anything; the number of blocks where it shares all."""
        return min((block for owner, block, _ in self.own if owner == task), default=self.depth)

    def table(self, first: int = 0) -> list[list[list[float]]]:
        """Return 1 for shared and 0 for own, by block from ``first`` on, task and linear layer."""
        return [
            [[float((task, block, linear) not in self.own) for linear in LINEARS] for task in self.tasks]
            for block in range(first, self.depth)
        ]

    def passes(self, tasks: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """Return which tasks one pass answers: together those that own nothing, each other one alone."""
        wanted = tuple(tasks)
        together = tuple(task for task in wanted if self.leaves(task) == self.depth)
        alone = [(task,) for task in wanted if task not in together]
        return ((together,) if together or not wanted else ()) + tuple(alone)

    def blocks_run(self, tasks: Iterable[str]) -> int:
        """Return how many blocks are run on the image for some tasks; a plain backbone runs ``depth``.

        Passes share the blocks below the first one of which either owns anything.
        """
        left = sorted((self.leaves(names[0]) if names else self.depth) for names in self.passes(tasks))
        return self.depth + sum(self.depth - leaf for leaf in left[:-1])


def _read(word: str, first: int, depth: int) -> Iterator[tuple[int, str]]:
    number, _, linear = word.partition(".")
    if not number.isdigit() or linear not in (*LINEARS, "all"):
        raise ConfigError(
            f"gates: {word!r} is no layer; write the block, a point and one of {', '.join(LINEARS)} or all, "
            "as '3.qkv'."
        )
    if not first <= int(number) < depth:
        raise ConfigError(
            f"gates: {word!r} is of block {number}; a task may own layers of blocks {first} to {depth - 1}, "
            "as shared_blocks and the depth of the backbone say."
        )
    yield from ((int(number), one) for one in LINEARS if linear in (one, "all"))
