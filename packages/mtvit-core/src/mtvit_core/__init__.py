"""One plain Vision Transformer that answers several tasks: what users and plugin authors need, by name.

Names are imported when they are first used: ``import mtvit_core`` alone costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtvit_core.__about__ import __version__ as __version__

if TYPE_CHECKING:
    from mtvit_core.backbones.family import BackboneFamily as BackboneFamily
    from mtvit_core.backbones.features import Features as Features
    from mtvit_core.backbones.interface import Backbone as Backbone
    from mtvit_core.backbones.interface import BackboneSpec as BackboneSpec
    from mtvit_core.backbones.tokens import LearnedQueries as LearnedQueries
    from mtvit_core.backbones.tokens import TokenGroup as TokenGroup
    from mtvit_core.deploy.program import export as export
    from mtvit_core.drawing.pixel_maps import draw_map as draw_map
    from mtvit_core.drawing.results import contact_sheet as contact_sheet
    from mtvit_core.drawing.results import draw_annotations as draw_annotations
    from mtvit_core.drawing.results import draw_instances as draw_instances
    from mtvit_core.errors import CheckpointError as CheckpointError
    from mtvit_core.errors import ConfigError as ConfigError
    from mtvit_core.errors import DataError as DataError
    from mtvit_core.errors import DivergedError as DivergedError
    from mtvit_core.errors import MtvitError as MtvitError
    from mtvit_core.errors import PluginError as PluginError
    from mtvit_core.errors import ShapeError as ShapeError
    from mtvit_core.evaluation.coco_engines import Engine as Engine
    from mtvit_core.evaluation.coco_evaluator import CocoEvaluator as CocoEvaluator
    from mtvit_core.evaluation.details import Chart as Chart
    from mtvit_core.evaluation.details import Details as Details
    from mtvit_core.evaluation.details import Line as Line
    from mtvit_core.evaluation.details import Matrix as Matrix
    from mtvit_core.evaluation.details import Mistakes as Mistakes
    from mtvit_core.evaluation.details import Table as Table
    from mtvit_core.evaluation.evaluator import Evaluator as Evaluator
    from mtvit_core.heads.proposals import PickedQueries as PickedQueries
    from mtvit_core.inference.options import PredictOptions as PredictOptions
    from mtvit_core.losses.global_batch import image_generators as image_generators
    from mtvit_core.losses.global_batch import shared_count as shared_count
    from mtvit_core.losses.matching import Match as Match
    from mtvit_core.model.add_tasks import add_tasks as add_tasks
    from mtvit_core.model.backbone import create_backbone as create_backbone
    from mtvit_core.model.build import build as build
    from mtvit_core.model.checkpoint import load as load
    from mtvit_core.model.checkpoint import save as save
    from mtvit_core.model.convert import convert as convert
    from mtvit_core.model.multitask_vit import MultiTaskViT as MultiTaskViT
    from mtvit_core.plugins.hookspecs import hookimpl as hookimpl
    from mtvit_core.plugins.registry import installed_tasks as installed_tasks
    from mtvit_core.published.format import Blueprint as Blueprint
    from mtvit_core.published.format import PublishedFormat as PublishedFormat
    from mtvit_core.structures.annotations import Annotations as Annotations
    from mtvit_core.structures.batch import Batch as Batch
    from mtvit_core.structures.categories import COCO_CATEGORIES as COCO_CATEGORIES
    from mtvit_core.structures.categories import Categories as Categories
    from mtvit_core.structures.categories import Category as Category
    from mtvit_core.structures.framing import ImageMeta as ImageMeta
    from mtvit_core.structures.image_files import find_images as find_images
    from mtvit_core.structures.image_files import read_image as read_image
    from mtvit_core.structures.image_result import CategoryMap as CategoryMap
    from mtvit_core.structures.image_result import DenseMap as DenseMap
    from mtvit_core.structures.image_result import ImageLabels as ImageLabels
    from mtvit_core.structures.image_result import ImageResult as ImageResult
    from mtvit_core.structures.image_result import Segment as Segment
    from mtvit_core.structures.instances import Finding as Finding
    from mtvit_core.structures.instances import Instances as Instances
    from mtvit_core.structures.instances import Link as Link
    from mtvit_core.structures.keypoints import COCO_PERSON as COCO_PERSON
    from mtvit_core.structures.keypoints import KeypointSchema as KeypointSchema
    from mtvit_core.structures.masks import Rle as Rle
    from mtvit_core.tasks.task import Task as Task
    from mtvit_core.tasks.task import TaskConfig as TaskConfig

#: Module of each public name; a test holds it equal to the imports above.
_MODULES = {
    "backbones.family": ("BackboneFamily",),
    "backbones.features": ("Features",),
    "backbones.interface": (
        "Backbone",
        "BackboneSpec",
    ),
    "backbones.tokens": (
        "LearnedQueries",
        "TokenGroup",
    ),
    "deploy.program": ("export",),
    "drawing.pixel_maps": ("draw_map",),
    "drawing.results": (
        "contact_sheet",
        "draw_annotations",
        "draw_instances",
    ),
    "errors": (
        "CheckpointError",
        "ConfigError",
        "DataError",
        "DivergedError",
        "MtvitError",
        "PluginError",
        "ShapeError",
    ),
    "evaluation.coco_engines": ("Engine",),
    "evaluation.coco_evaluator": ("CocoEvaluator",),
    "evaluation.details": (
        "Chart",
        "Details",
        "Line",
        "Matrix",
        "Mistakes",
        "Table",
    ),
    "evaluation.evaluator": ("Evaluator",),
    "heads.proposals": ("PickedQueries",),
    "inference.options": ("PredictOptions",),
    "losses.global_batch": (
        "image_generators",
        "shared_count",
    ),
    "losses.matching": ("Match",),
    "model.add_tasks": ("add_tasks",),
    "model.backbone": ("create_backbone",),
    "model.build": ("build",),
    "model.checkpoint": (
        "load",
        "save",
    ),
    "model.convert": ("convert",),
    "model.multitask_vit": ("MultiTaskViT",),
    "plugins.hookspecs": ("hookimpl",),
    "plugins.registry": ("installed_tasks",),
    "published.format": (
        "Blueprint",
        "PublishedFormat",
    ),
    "structures.annotations": ("Annotations",),
    "structures.batch": ("Batch",),
    "structures.categories": (
        "COCO_CATEGORIES",
        "Categories",
        "Category",
    ),
    "structures.framing": ("ImageMeta",),
    "structures.image_files": (
        "find_images",
        "read_image",
    ),
    "structures.image_result": (
        "CategoryMap",
        "DenseMap",
        "ImageLabels",
        "ImageResult",
        "Segment",
    ),
    "structures.instances": (
        "Finding",
        "Instances",
        "Link",
    ),
    "structures.keypoints": (
        "COCO_PERSON",
        "KeypointSchema",
    ),
    "structures.masks": ("Rle",),
    "tasks.task": (
        "Task",
        "TaskConfig",
    ),
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
