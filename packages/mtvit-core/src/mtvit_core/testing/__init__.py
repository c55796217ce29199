"""The test kit for authors: subclass ``TaskSuite`` or ``BackboneSuite``, name the subject, and run pytest."""

from mtvit_core.testing.backbone_suite import BackboneSuite as BackboneSuite
from mtvit_core.testing.example import CATEGORIES as CATEGORIES
from mtvit_core.testing.example import Example as Example
from mtvit_core.testing.suite import TaskSuite as TaskSuite
