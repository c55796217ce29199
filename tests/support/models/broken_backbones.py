"""Backbones that are broken in one place each, in every way that the kit checks: variants of the example."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.family import BackboneFamily
from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Option
from mtvit_core.backbones.tokens import Context, Entry, QuerySource, TokenGroup
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError
from mtvit_core.plugins.hookspecs import hookimpl
from support.commands.installed_example import EXAMPLES

SPEC = importlib.util.spec_from_file_location(
    "nano_backbone", EXAMPLES / "mtvit-nanovit" / "src" / "mtvit_nanovit" / "backbone.py"
)
assert SPEC is not None
assert SPEC.loader is not None
example = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(example)


class Whole(example.NanoViT):
    """As it should be; ``joined`` is what variants change."""

    def forward(self, images: Tensor, groups: Any = (), *more: Any, **named: Any) -> Features:
        return super().forward(images, self.joined(groups), *more, **named)

    def joined(self, groups: Sequence[TokenGroup]) -> list[TokenGroup]:
        return list(groups)


class Square(Whole):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.spec = replace(self.spec, canvas=(64, 64))


class Careless(Whole):
    """Its family takes any option."""


class Tolerant(Whole):
    def forward(self, images: Tensor, *more: Any, **named: Any) -> Features:
        rows, columns = (size // 8 * 8 for size in images.shape[2:])
        return super().forward(images[:, :, :rows, :columns], *more, **named)


class Resizing(Whole):
    def forward(self, images: Tensor, *more: Any, **named: Any) -> Features:
        resized = F.interpolate(images.float(), self.spec.canvas).to(torch.uint8)
        return super().forward(resized, *more, **named)


class Normed(Whole):
    def normalise(self, images: Tensor) -> Tensor:
        found = super().normalise(images)
        return found - found.mean(0)


class Wasteful(Whole):
    def forward(
        self,
        images: Tensor,
        groups: Any = (),
        maskers: Any = None,
        patches: bool = True,
        proposals: bool = True,
    ) -> Features:
        return super().forward(images, groups, maskers, True, proposals)


class Blind(Whole):
    def forward(self, *arguments: Any, **named: Any) -> Features:
        return replace(super().forward(*arguments, **named), inner={})


class Open(Whole):
    def joined(self, groups: Sequence[TokenGroup]) -> list[TokenGroup]:
        return [replace(group, visibility="joint") for group in groups]


class Closed(Whole):
    def joined(self, groups: Sequence[TokenGroup]) -> list[TokenGroup]:
        return [replace(group, visibility="isolated") for group in groups]


class Early(Whole):
    def joined(self, groups: Sequence[TokenGroup]) -> list[TokenGroup]:
        return [replace(group, enter=0) for group in groups]


class Pickless(Whole):
    def forward(self, *arguments: Any, **named: Any) -> Features:
        return replace(super().forward(*arguments, **named), picks={})


class Shallow(Whole):
    def joined(self, groups: Sequence[TokenGroup]) -> list[TokenGroup]:
        return [replace(group, layers=group.layers[-1:]) for group in groups]


class Bare(QuerySource):
    """A source without its positions."""

    def __init__(self, inner: QuerySource) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, context: Context) -> Entry:
        return self.inner(context)


class Unplaced(Whole):
    def joined(self, groups: Sequence[TokenGroup]) -> list[TokenGroup]:
        return [replace(group, source=Bare(group.source)) for group in groups]


class Unmasked(Whole):
    def forward(
        self, images: Tensor, groups: Any = (), maskers: Any = None, *more: Any, **named: Any
    ) -> Features:
        return super().forward(images, groups, None, *more, **named)


class Flat(Whole):
    def depth_of(self, parameter: str) -> int:
        return 0


class Reversed(Whole):
    def blocks(self) -> Sequence[nn.Module]:
        return super().blocks()[::-1]


class Idle(Whole):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.idle = nn.Parameter(torch.zeros(3))


class Drawn(Whole):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.register_buffer("shift", torch.randn(3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        return super().normalise(images) + self.shift


class Deaf(Whole):
    """Its family passes over ``pretrained``."""


class Greedy(Whole):
    def recomputed(self, run: Callable[..., Tensor], *arguments: Any) -> Tensor:
        return run(*arguments)


class Exact(Whole):
    def autocast(self) -> Any:
        return nullcontext()


class Sideways(Whole):
    def recomputed(self, run: Any, *arguments: Any) -> Tensor:
        return super().recomputed(run.forward, *arguments)


class Interpreted(Whole):
    def compile_blocks(self) -> None:
        pass


class Deciding(Whole):
    def forward(self, images: Tensor, *more: Any, **named: Any) -> Features:
        return super().forward(
            images.flip(-1) if images.float().mean().item() > 200 else images, *more, **named
        )


VARIANTS = {cls.__name__: cls for cls in Whole.__subclasses__()} | {"Whole": Whole}


class BrokenFamily(BackboneFamily):
    """``broken:Open`` and all others."""

    name: ClassVar[str] = "broken"
    api: ClassVar[int] = 1

    def create(
        self, name: str, canvas: tuple[int, int], pretrained: bool | str | Path, options: Mapping[str, Option]
    ) -> Any:
        cls = VARIANTS[name.partition(":")[2]]
        known = {k: v for k, v in options.items() if k in example.NanoOptions.model_fields}
        own = validate(
            example.NanoOptions, known if cls is Careless else options, f"backbone {name}: options"
        )
        if pretrained and cls is not Deaf:
            raise ConfigError(f"backbone {name!r}: nobody publishes weights of it.")
        return cls(name, canvas, options, own)


@hookimpl
def mtvit_backbones() -> list[type[BackboneFamily]]:
    return [BrokenFamily]
