"""Settings of distillation."""

from pydantic import BaseModel, ConfigDict, Field


class DistillConfig(BaseModel):
    """``[distill]``.

    Attributes:
        teacher: File of a model whose predictions the tasks learn from too; none where empty.
        sha256: Checksum of that file; a run fills it in, and refuses another file.
        tasks: Tasks that learn from the teacher; every one of the run where empty.
        weight: Factor on the losses of distillation.
        task_weights: A further factor for a task, by name; 1 where absent.
        token: File of the knowledge tokens of tasks that ask for some.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: str = ""
    sha256: str = ""
    tasks: tuple[str, ...] = ()
    weight: float = Field(1.0, ge=0)
    task_weights: dict[str, float] = {}
    token: str = ""

    def teaches(self, task: str) -> bool:
        """Tell whether a task of the run learns from the teacher."""
        return bool(self.teacher) and (not self.tasks or task in self.tasks)
