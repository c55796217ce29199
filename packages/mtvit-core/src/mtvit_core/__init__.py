"""One plain Vision Transformer for several tasks: the names that users and plugin authors need.

A name is imported when it is first used, so ``import mtvit_core`` alone costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtvit_core.__about__ import __version__ as __version__

if TYPE_CHECKING:
    from mtvit_core.backbones.elastic.backbone import ElasticBackbone as ElasticBackbone
    from mtvit_core.backbones.elastic.genome import Genome as Genome
    from mtvit_core.backbones.family import BackboneFamily as BackboneFamily
    from mtvit_core.backbones.features import Features as Features
    from mtvit_core.backbones.features import LayerFeatures as LayerFeatures
    from mtvit_core.backbones.interface import Backbone as Backbone
    from mtvit_core.backbones.interface import BackboneSpec as BackboneSpec
    from mtvit_core.backbones.tokens import LearnedQueries as LearnedQueries
    from mtvit_core.backbones.tokens import TokenGroup as TokenGroup
    from mtvit_core.deploy.exported import ExportedModel as ExportedModel
    from mtvit_core.deploy.fewer_tokens import with_fewer_tokens as with_fewer_tokens
    from mtvit_core.deploy.light.model import LightModel as LightModel
    from mtvit_core.deploy.load import load as load
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
    from mtvit_core.evaluation.image_labels import ImageLabelsEvaluator as ImageLabelsEvaluator
    from mtvit_core.heads.mlp import Hidden as Hidden
    from mtvit_core.heads.patch_classifier import ImageLogits as ImageLogits
    from mtvit_core.heads.patch_classifier import PatchClassifier as PatchClassifier
    from mtvit_core.heads.pixel_decoder import DecoderRequest as DecoderRequest
    from mtvit_core.heads.proposals import PickedQueries as PickedQueries
    from mtvit_core.heads.proposals import QueryRequest as QueryRequest
    from mtvit_core.heads.proposals import picked_group as picked_group
    from mtvit_core.heads.proposals import proposal_loss as proposal_loss
    from mtvit_core.heads.roi_cascade import BoundCascade as BoundCascade
    from mtvit_core.heads.roi_cascade import RoICascade as RoICascade
    from mtvit_core.inference.options import PredictOptions as PredictOptions
    from mtvit_core.losses.classification import sigmoid_focal as sigmoid_focal
    from mtvit_core.losses.denoising import denoising_losses as denoising_losses
    from mtvit_core.losses.denoising import noised_boxes as noised_boxes
    from mtvit_core.losses.denoising import noised_weight as noised_weight
    from mtvit_core.losses.distillation import SoftObjects as SoftObjects
    from mtvit_core.losses.global_batch import image_generators as image_generators
    from mtvit_core.losses.global_batch import shared_count as shared_count
    from mtvit_core.losses.matching import Match as Match
    from mtvit_core.losses.perfect import SURE as SURE
    from mtvit_core.losses.perfect import perfect_logits as perfect_logits
    from mtvit_core.losses.perfect import perfect_rows as perfect_rows
    from mtvit_core.model.add_tasks import add_tasks as add_tasks
    from mtvit_core.model.backbone import create_backbone as create_backbone
    from mtvit_core.model.build import build as build
    from mtvit_core.model.categories.with_categories import with_categories as with_categories
    from mtvit_core.model.checkpoint import save as save
    from mtvit_core.model.convert import convert as convert
    from mtvit_core.model.cut_out import calibrate as calibrate
    from mtvit_core.model.cut_out import cut_out as cut_out
    from mtvit_core.model.hub.card import About as About
    from mtvit_core.model.multitask_vit import MultiTaskViT as MultiTaskViT
    from mtvit_core.plugins.dataset_reader import LabelledImage as LabelledImage
    from mtvit_core.plugins.dataset_reader import LabelledObject as LabelledObject
    from mtvit_core.plugins.dataset_reader import LabelledSplit as LabelledSplit
    from mtvit_core.plugins.dataset_reader import MapFolder as MapFolder
    from mtvit_core.plugins.dataset_reader import Reader as Reader
    from mtvit_core.plugins.hookspecs import hookimpl as hookimpl
    from mtvit_core.plugins.loss_weighting import Weighting as Weighting
    from mtvit_core.plugins.registry import installed_tasks as installed_tasks
    from mtvit_core.plugins.sample_transform import Transform as Transform
    from mtvit_core.published.format import Blueprint as Blueprint
    from mtvit_core.published.format import PublishedFormat as PublishedFormat
    from mtvit_core.results.image_labels import ImageLabels as ImageLabels
    from mtvit_core.results.image_result import ImageResult as ImageResult
    from mtvit_core.results.on_canvas import CanvasLabels as CanvasLabels
    from mtvit_core.results.on_canvas import CanvasMap as CanvasMap
    from mtvit_core.results.on_canvas import CanvasObjects as CanvasObjects
    from mtvit_core.structures.annotations import Annotations as Annotations
    from mtvit_core.structures.annotations import annotated_classes as annotated_classes
    from mtvit_core.structures.batch import Batch as Batch
    from mtvit_core.structures.boxes import cxcywh_to_xyxy as cxcywh_to_xyxy
    from mtvit_core.structures.boxes import xyxy_to_cxcywh as xyxy_to_cxcywh
    from mtvit_core.structures.categories import COCO_CATEGORIES as COCO_CATEGORIES
    from mtvit_core.structures.categories import Categories as Categories
    from mtvit_core.structures.categories import Category as Category
    from mtvit_core.structures.framing import ImageMeta as ImageMeta
    from mtvit_core.structures.image_files import find_images as find_images
    from mtvit_core.structures.image_files import image_size as image_size
    from mtvit_core.structures.image_files import read_image as read_image
    from mtvit_core.structures.instances import Finding as Finding
    from mtvit_core.structures.instances import Instances as Instances
    from mtvit_core.structures.instances import Link as Link
    from mtvit_core.structures.keypoints import COCO_PERSON as COCO_PERSON
    from mtvit_core.structures.keypoints import KeypointSchema as KeypointSchema
    from mtvit_core.structures.masks import Rle as Rle
    from mtvit_core.structures.masks import decode_rle as decode_rle
    from mtvit_core.structures.masks import encode_rle as encode_rle
    from mtvit_core.structures.pixel_maps import CategoryMap as CategoryMap
    from mtvit_core.structures.pixel_maps import DenseMap as DenseMap
    from mtvit_core.structures.pixel_maps import Segment as Segment
    from mtvit_core.tasks.consensus import QueryObjects as QueryObjects
    from mtvit_core.tasks.image_labels import ImageLabelsConfig as ImageLabelsConfig
    from mtvit_core.tasks.image_labels import ImageLabelsTask as ImageLabelsTask
    from mtvit_core.tasks.task import AnyTask as AnyTask
    from mtvit_core.tasks.task import Task as Task
    from mtvit_core.tasks.task import TaskConfig as TaskConfig
    from mtvit_core.tasks.variant_task import VariantTask as VariantTask
    from mtvit_core.video.predict import FrameResult as FrameResult
    from mtvit_core.video.predict import predict_video as predict_video
    from mtvit_core.video.tracking import Tracker as Tracker

#: Module of each public name; a test holds it equal to the imports above.
_MODULES = {
    "backbones.elastic.backbone": ("ElasticBackbone",),
    "backbones.elastic.genome": ("Genome",),
    "backbones.family": ("BackboneFamily",),
    "backbones.features": (
        "Features",
        "LayerFeatures",
    ),
    "backbones.interface": (
        "Backbone",
        "BackboneSpec",
    ),
    "backbones.tokens": (
        "LearnedQueries",
        "TokenGroup",
    ),
    "deploy.exported": ("ExportedModel",),
    "deploy.fewer_tokens": ("with_fewer_tokens",),
    "deploy.light.model": ("LightModel",),
    "deploy.load": ("load",),
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
    "evaluation.image_labels": ("ImageLabelsEvaluator",),
    "heads.mlp": ("Hidden",),
    "heads.patch_classifier": (
        "ImageLogits",
        "PatchClassifier",
    ),
    "heads.pixel_decoder": ("DecoderRequest",),
    "heads.proposals": (
        "PickedQueries",
        "QueryRequest",
        "picked_group",
        "proposal_loss",
    ),
    "heads.roi_cascade": (
        "BoundCascade",
        "RoICascade",
    ),
    "inference.options": ("PredictOptions",),
    "losses.classification": ("sigmoid_focal",),
    "losses.denoising": (
        "denoising_losses",
        "noised_boxes",
        "noised_weight",
    ),
    "losses.distillation": ("SoftObjects",),
    "losses.global_batch": (
        "image_generators",
        "shared_count",
    ),
    "losses.matching": ("Match",),
    "losses.perfect": (
        "SURE",
        "perfect_logits",
        "perfect_rows",
    ),
    "model.add_tasks": ("add_tasks",),
    "model.backbone": ("create_backbone",),
    "model.build": ("build",),
    "model.checkpoint": ("save",),
    "model.convert": ("convert",),
    "model.cut_out": (
        "calibrate",
        "cut_out",
    ),
    "model.hub.card": ("About",),
    "model.multitask_vit": ("MultiTaskViT",),
    "model.categories.with_categories": ("with_categories",),
    "plugins.dataset_reader": (
        "LabelledImage",
        "LabelledObject",
        "LabelledSplit",
        "MapFolder",
        "Reader",
    ),
    "plugins.hookspecs": ("hookimpl",),
    "plugins.loss_weighting": ("Weighting",),
    "plugins.registry": ("installed_tasks",),
    "plugins.sample_transform": ("Transform",),
    "published.format": (
        "Blueprint",
        "PublishedFormat",
    ),
    "structures.annotations": (
        "Annotations",
        "annotated_classes",
    ),
    "structures.batch": ("Batch",),
    "structures.boxes": (
        "cxcywh_to_xyxy",
        "xyxy_to_cxcywh",
    ),
    "structures.categories": (
        "COCO_CATEGORIES",
        "Categories",
        "Category",
    ),
    "structures.framing": ("ImageMeta",),
    "structures.image_files": (
        "find_images",
        "image_size",
        "read_image",
    ),
    "results.image_labels": ("ImageLabels",),
    "results.image_result": ("ImageResult",),
    "results.on_canvas": ("CanvasLabels", "CanvasMap", "CanvasObjects"),
    "structures.pixel_maps": ("CategoryMap", "DenseMap", "Segment"),
    "structures.instances": (
        "Finding",
        "Instances",
        "Link",
    ),
    "structures.keypoints": (
        "COCO_PERSON",
        "KeypointSchema",
    ),
    "structures.masks": (
        "Rle",
        "decode_rle",
        "encode_rle",
    ),
    "tasks.consensus": ("QueryObjects",),
    "tasks.image_labels": (
        "ImageLabelsConfig",
        "ImageLabelsTask",
    ),
    "tasks.task": (
        "AnyTask",
        "Task",
        "TaskConfig",
    ),
    "tasks.variant_task": ("VariantTask",),
    "video.predict": (
        "FrameResult",
        "predict_video",
    ),
    "video.tracking": ("Tracker",),
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
