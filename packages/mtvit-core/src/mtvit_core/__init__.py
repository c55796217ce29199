"""One plain Vision Transformer that answers several tasks: what users and plugin authors need, by name.

Names are imported when they are first used: ``import mtvit_core`` alone costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtvit_core.__about__ import __version__ as __version__

if TYPE_CHECKING:
    from mtvit_core.annotations import Annotations as Annotations
    from mtvit_core.batch import Batch as Batch
    from mtvit_core.categories import Categories as Categories
    from mtvit_core.categories import Category as Category
    from mtvit_core.checkpoint import build as build
    from mtvit_core.checkpoint import load as load
    from mtvit_core.checkpoint import save as save
    from mtvit_core.coco import COCO_CATEGORIES as COCO_CATEGORIES
    from mtvit_core.coco_engines import Engine as Engine
    from mtvit_core.coco_evaluator import CocoEvaluator as CocoEvaluator
    from mtvit_core.counts import shared_count as shared_count
    from mtvit_core.details import Chart as Chart
    from mtvit_core.details import Details as Details
    from mtvit_core.details import Line as Line
    from mtvit_core.details import Matrix as Matrix
    from mtvit_core.details import Mistakes as Mistakes
    from mtvit_core.details import Table as Table
    from mtvit_core.drawing import contact_sheet as contact_sheet
    from mtvit_core.drawing import draw_annotations as draw_annotations
    from mtvit_core.drawing import draw_instances as draw_instances
    from mtvit_core.draws import image_generators as image_generators
    from mtvit_core.errors import CheckpointError as CheckpointError
    from mtvit_core.errors import ConfigError as ConfigError
    from mtvit_core.errors import DataError as DataError
    from mtvit_core.errors import DivergedError as DivergedError
    from mtvit_core.errors import MtvitError as MtvitError
    from mtvit_core.errors import PluginError as PluginError
    from mtvit_core.errors import ShapeError as ShapeError
    from mtvit_core.exported import export as export
    from mtvit_core.extend import add_tasks as add_tasks
    from mtvit_core.features import Features as Features
    from mtvit_core.geometry import ImageMeta as ImageMeta
    from mtvit_core.hookspecs import hookimpl as hookimpl
    from mtvit_core.images import find_images as find_images
    from mtvit_core.images import read_image as read_image
    from mtvit_core.instances import Instances as Instances
    from mtvit_core.keypoints import COCO_PERSON as COCO_PERSON
    from mtvit_core.keypoints import KeypointSchema as KeypointSchema
    from mtvit_core.link import Finding as Finding
    from mtvit_core.link import Link as Link
    from mtvit_core.masks import Rle as Rle
    from mtvit_core.matching import Match as Match
    from mtvit_core.model import MultiTaskViT as MultiTaskViT
    from mtvit_core.plugins import installed_tasks as installed_tasks
    from mtvit_core.proposals import PickedQueries as PickedQueries
    from mtvit_core.published.convert import convert as convert
    from mtvit_core.published.format import Blueprint as Blueprint
    from mtvit_core.published.format import PublishedFormat as PublishedFormat
    from mtvit_core.task import BackboneSpec as BackboneSpec
    from mtvit_core.task import Evaluator as Evaluator
    from mtvit_core.task import Task as Task
    from mtvit_core.task import TaskConfig as TaskConfig
    from mtvit_core.tokens import LearnedQueries as LearnedQueries
    from mtvit_core.tokens import TokenGroup as TokenGroup

#: Module of each public name; a test holds it equal to the imports above.
_MODULES = {
    "annotations": ("Annotations",),
    "batch": ("Batch",),
    "categories": ("Categories", "Category"),
    "checkpoint": ("build", "load", "save"),
    "coco": ("COCO_CATEGORIES",),
    "coco_engines": ("Engine",),
    "coco_evaluator": ("CocoEvaluator",),
    "counts": ("shared_count",),
    "details": ("Chart", "Details", "Line", "Matrix", "Mistakes", "Table"),
    "drawing": ("contact_sheet", "draw_annotations", "draw_instances"),
    "draws": ("image_generators",),
    "errors": (
        "CheckpointError",
        "ConfigError",
        "DataError",
        "DivergedError",
        "MtvitError",
        "PluginError",
        "ShapeError",
    ),
    "exported": ("export",),
    "extend": ("add_tasks",),
    "features": ("Features",),
    "geometry": ("ImageMeta",),
    "hookspecs": ("hookimpl",),
    "images": ("find_images", "read_image"),
    "instances": ("Instances",),
    "keypoints": ("COCO_PERSON", "KeypointSchema"),
    "link": ("Finding", "Link"),
    "masks": ("Rle",),
    "matching": ("Match",),
    "model": ("MultiTaskViT",),
    "plugins": ("installed_tasks",),
    "proposals": ("PickedQueries",),
    "published.convert": ("convert",),
    "published.format": ("Blueprint", "PublishedFormat"),
    "task": ("BackboneSpec", "Evaluator", "Task", "TaskConfig"),
    "tokens": ("LearnedQueries", "TokenGroup"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'mtvit_core' has no attribute {name!r}")
    value = getattr(import_module(f"mtvit_core.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*_HOME, "__version__"])
