"""What a plugin can bring to the trainer beside tasks: each has a name, a contract version and settings."""

from abc import ABC
from typing import ClassVar, Generic, TypeVar

from mtvit_core.tasks.task import TaskConfig

C = TypeVar("C", bound=TaskConfig)


class Extension(ABC, Generic[C]):
    """Base of readers, transforms and weightings.

    Attributes:
        name: What a run calls it by; its settings are ``[<kind>s.<name>]``.
        api: Contract version it was written for, a number: ``api = 1``.
        Config: Its settings.
    """

    name: ClassVar[str]
    api: ClassVar[int]
    Config: ClassVar[type[TaskConfig]]

    def __init__(self, config: C) -> None:
        """Keep the settings.

        Args:
            config: An instance of ``Config``.
        """
        self.config = config
