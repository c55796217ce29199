"""The ``[[data]]`` tables: a run on several data sets."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mtvit_core.config import validate
from mtvit_core.errors import ConfigError
from mtvit_train.data.formats.coco import CocoConfig


class DataTable(BaseModel):
    """A ``[[data]]`` table: one data set of several.

    Attributes:
        path: Its folder.
        name: What messages and reports call it; by default the last part of ``path``.
        labels: Kinds of label to use; all that it has where empty.
        weight: Its share of the samples, against the weights of the others; unset: in proportion to its size.
        evaluate: Whether its val split is evaluated.
        reader: What reads it.
        coco: Names of its files; unset: those of the table ``[coco]``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    name: str = ""
    labels: tuple[str, ...] = ()
    weight: float | None = Field(None, gt=0)
    evaluate: bool = True
    reader: str = "coco"
    coco: CocoConfig | None = None

    @property
    def title(self) -> str:
        """The name, or the last part of the path."""
        return self.name or Path(self.path).resolve().name


def read_tables(listed: list[Any]) -> tuple[DataTable, ...]:
    """Check the tables, one by one and against each other.

    Args:
        listed: The tables as the settings file has them.

    Raises:
        ConfigError: a setting is unknown or does not fit, two tables have one name, only some have weights,
            or none is evaluated.
    """
    tables = tuple(validate(DataTable, table, f"data.{place}") for place, table in enumerate(listed))
    titles = [table.title for table in tables]
    for title in titles:
        if titles.count(title) > 1:
            raise ConfigError(f"data: two tables are called {title!r}; give each a name of its own.")
    weighed = [table.weight is not None for table in tables]
    if any(weighed) and not all(weighed):
        lacking = titles[weighed.index(False)]
        raise ConfigError(
            f"data: table {lacking!r} has no weight, others have; give every table one, or none."
        )
    if not any(table.evaluate for table in tables):
        raise ConfigError("data: no table is evaluated; leave evaluate = false out of one.")
    return tables
