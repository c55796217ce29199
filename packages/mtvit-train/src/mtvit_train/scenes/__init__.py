"""Scenes: the built-in procedural data set of shapes and people, exactly labelled."""

from mtvit_train.scenes.scene import CATEGORIES, Scene, render_scene
from mtvit_train.scenes.writer import write_scenes

__all__ = ["CATEGORIES", "Scene", "render_scene", "write_scenes"]
