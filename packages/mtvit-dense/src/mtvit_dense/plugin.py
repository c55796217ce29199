"""The entry points: four tasks, and readers of data sets.

They import what they bring only when asked, so that commands start quickly.
"""

from typing import TYPE_CHECKING, Any

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core import Reader
    from mtvit_core.tasks.task import AnyTask


class SemanticPlugin:
    """Brings the task ``semantic``."""

    @hookimpl
    def mtvit_task(self) -> "type[AnyTask]":
        """Return the task."""
        from mtvit_dense.tasks.semantic import Semantic

        return Semantic


class DepthPlugin:
    """Brings the task ``depth``."""

    @hookimpl
    def mtvit_task(self) -> "type[AnyTask]":
        """Return the task."""
        from mtvit_dense.tasks.depth import Depth

        return Depth


class NormalsPlugin:
    """Brings the task ``normals``."""

    @hookimpl
    def mtvit_task(self) -> "type[AnyTask]":
        """Return the task."""
        from mtvit_dense.tasks.normals import Normals

        return Normals


class EdgesPlugin:
    """Brings the task ``edges``."""

    @hookimpl
    def mtvit_task(self) -> "type[AnyTask]":
        """Return the task."""
        from mtvit_dense.tasks.edges import Edges

        return Edges


class ReadersPlugin:
    """Brings readers of data sets."""

    @hookimpl
    def mtvit_readers(self) -> "list[type[Reader[Any]]]":
        """Return what ``reader`` may name."""
        from mtvit_dense.readers.folders import Folders
        from mtvit_dense.readers.mtan import Mtan

        return [Folders, Mtan]


dense_readers = ReadersPlugin()
semantic, depth, normals, edges = SemanticPlugin(), DepthPlugin(), NormalsPlugin(), EdgesPlugin()
