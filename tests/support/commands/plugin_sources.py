"""Sources of small plugins, for tests that install them on the spot."""

TASK = """
from mtvit_core.tasks.task import Task, TaskConfig

class {name}Config(TaskConfig):
    size: int = 3

class {name}Task(Task):
    name = "{task}"
    api = 1
    Config = {name}Config
    needs = frozenset({{"boxes"}})
    {extra}

    def tokens(self, backbone): return []
    def head(self, backbone): raise NotImplementedError
    def targets(self, annotations, canvas, device): raise NotImplementedError
    def loss(self, predictions, targets, match): return {{}}
    def decode(self, predictions, meta): return []
    def evaluator(self): raise NotImplementedError
"""
HOOK = """
from mtvit_core.plugins.hookspecs import hookimpl

@hookimpl
def mtvit_task():
    {body}
"""


def task_plugin(task: str, extra: str = "") -> str:
    """Return the source of a module that provides a whole task."""
    return TASK.format(name=task.title(), task=task, extra=extra) + HOOK.format(
        body=f"return {task.title()}Task"
    )


def returning(expression: str, extra: str = "pass") -> str:
    """Return the source of a module whose hook returns something else than the task class it defines."""
    return TASK.format(name="Odd", task="odd", extra=extra) + HOOK.format(body=f"return {expression}")


#: The head of ``task_plugin``, which tests replace.
HEAD = "def head(self, backbone): raise NotImplementedError"


def of_parts(head: str = "return torch.nn.Linear(2, 2)", extra: str = "pass") -> str:
    """Return the source of a plugin whose head is built as given."""
    source = "import torch\n" + returning("OddTask", extra)
    return source.replace(HEAD, f"def head(self, backbone): {head}")
