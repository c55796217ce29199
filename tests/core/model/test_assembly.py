"""A task that cannot build its parts, or strays from its own name, is refused by a line that says so."""

import dataclasses

import pytest
import torch

import mtvit_core
from mtvit_core.backbones.plain.family import create_plain
from mtvit_core.errors import PluginError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.trial import broken_plugins, try_building
from mtvit_core.plugins import registry
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.contract import own_metrics
from support.commands.plugin_sources import of_parts
from support.models.spot_task import Spot, SpotConfig, SpotHead

TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}
BUILD_FAULTS = [
    pytest.param(
        of_parts("raise RuntimeError('no\\n luck')"),
        "head raised RuntimeError: no luck",
        id="head raises",
    ),
    pytest.param(
        of_parts("return 'head'"),
        "head raised TypeError: its result 'head' is no torch.nn.Module",
        id="no module",
    ),
    pytest.param(
        of_parts().replace("backbone): return []", "backbone): return ['odd']"),
        "tokens raised TypeError: its result ['odd'] is no sequence of TokenGroup",
        id="no groups",
    ),
    pytest.param(
        of_parts(extra="def __init__(self, config, categories): raise KeyError('lost')"),
        "the task itself raised KeyError: 'lost'",
        id="task raises",
    ),
    pytest.param(
        of_parts().replace("size: int = 3", 'size: "NoSuchType" = 3'),
        "Config raised PydanticUndefinedAnnotation: name 'NoSuchType' is not defined",
        id="invalid config class",
    ),
]


@pytest.fixture
def tiny():
    """A backbone of two small blocks; it is made without a look at plugins, which tests install after it."""
    return create_plain("vit_tiny_patch16_224", (32, 32), options=TINY)


@pytest.mark.usefixtures("only_these")
@pytest.mark.parametrize(("source", "cause"), BUILD_FAULTS)
def test_a_builder_that_raises_ends_only_the_run_that_names_its_task(install, tiny, source, cause):
    install("acme", source)
    install("zebra-depth", of_parts().replace('"odd"', '"depth"'), "depth")
    report = f"acme 1.2, entry point 'odd': build failed: {cause}. Leave the task out, or fix its plugin."
    with pytest.raises(PluginError) as error:
        mtvit_core.build(tiny, ["odd"])
    assert str(error.value) == f"tasks: 'odd' is broken: {report}"
    assert [str(broken) for broken in broken_plugins()] == [report]
    assert "Error" in broken_plugins()[0].traceback
    assert list(mtvit_core.build(tiny, ["depth"]).tasks) == ["depth"]


@pytest.mark.usefixtures("only_these")
def test_a_task_that_wants_other_settings_is_not_broken(install, tiny):
    install("acme", of_parts().replace("size: int = 3", "size: int"))
    found = registry.installed_tasks()["odd"]
    assert try_building(found) is None
    with pytest.raises(
        mtvit_core.ConfigError, match=r"config: tasks\.odd\.size is missing; it has no default\."
    ):
        mtvit_core.build(tiny, ["odd"])
    assert list(mtvit_core.build(tiny, {"odd": {"size": 2}}).tasks) == ["odd"]


@pytest.mark.usefixtures("only_these")
def test_defaults_are_held_to_their_limits(install, tiny):
    source = of_parts().replace("size: int = 3", "size: int = Field(3, ge=4)")
    install("acme", source.replace("import torch", "import torch\nfrom pydantic import Field"))
    with pytest.raises(
        mtvit_core.ConfigError, match=r"tasks\.odd\.size is 3: input should be greater than or"
    ):
        mtvit_core.build(tiny, ["odd"])


@pytest.mark.usefixtures("only_these")
def test_a_view_that_is_not_declared_is_refused(install, tiny):
    install("acme", of_parts(extra='view = "person"'))
    message = "task 'odd': its view is 'person', but it declares image; add the view to `views`."
    with pytest.raises(PluginError) as error:
        mtvit_core.build(tiny, ["odd"])
    assert str(error.value) == message
    assert str(broken_plugins()[0]) == f"acme 1.2, entry point 'odd': build failed: {message} Fix the plugin."


@pytest.mark.usefixtures("only_these")
def test_the_task_of_no_plugin_is_named_by_its_module(tiny):
    class Raising(Spot):
        def head(self, backbone):
            raise RuntimeError

    with pytest.raises(PluginError) as error:
        model_of(tiny, Raising)
    assert str(error.value) == (
        f"tasks: 'spot' is broken: module {__name__} (no plugin), entry point 'spot': build failed: head "
        f"raised "
        "RuntimeError. Leave the task out, or fix its plugin."
    )


def model_of(backbone, *classes):
    """A model of variants of the spot task."""
    return MultiTaskViT(
        backbone,
        [cls(SpotConfig(), mtvit_core.COCO_CATEGORIES) for cls in classes],
        mtvit_core.COCO_CATEGORIES,
    )


def batch():
    """One black image with one box."""
    empty = torch.zeros(1, dtype=torch.int64)
    truth = Annotations(
        boxes=torch.tensor([[0.0, 0.0, 8.0, 8.0]]), labels=empty, masks=None, keypoints=None,
        is_crowd=empty.bool(), areas=torch.tensor([64.0]), ids=empty, has=frozenset({"boxes"}),
    )  # fmt: skip
    return Batch(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), (truth,), (ImageMeta.whole(32, 32),))


WORDS = "allowed: letters, digits and _, without the name of the task, which mtvit puts before it."


@pytest.mark.parametrize(
    ("term", "value", "message"),
    [
        ("det/l1", 0.0, f"its loss has a term 'det/l1'; {WORDS}"),
        ("", 0.0, f"its loss has a term ''; {WORDS}"),
        ("l1", [0.0, 1.0], "its loss 'l1' is shape (2,), not a scalar tensor."),
    ],
)
def test_a_loss_that_strays_is_refused(tiny, term, value, message):
    class Straying(Spot):
        def loss(self, predictions, targets, match):
            return {term: torch.tensor(value)}

    with pytest.raises(PluginError) as error:
        model_of(tiny, Straying).losses(batch())
    assert str(error.value) == f"task 'spot': {message}"


def test_a_loss_that_is_no_tensor_is_refused(tiny):
    class Straying(Spot):
        def loss(self, predictions, targets, match):
            return {"l1": 0.5}

    with pytest.raises(PluginError, match=r"task 'spot': its loss 'l1' is 0\.5, not a scalar tensor\."):
        model_of(tiny, Straying).losses(batch())


def test_metrics_live_under_the_name_of_the_task():
    assert own_metrics("spot", {"AP": 0.5, "AP of cats": 1}) == {"spot/AP": 0.5, "spot/AP of cats": 1.0}
    with pytest.raises(PluginError) as error:
        own_metrics("spot", {"det/AP": 0.5})
    assert str(error.value) == (
        "task 'spot': its evaluator has a metric 'det/AP'; allowed: a name without /, and without the name "
        "of "
        "the task, which mtvit puts before it."
    )
    with pytest.raises(PluginError, match=r"task 'spot': its metric 'AP' is 'high', not a number\."):
        own_metrics("spot", {"AP": "high"})


def test_results_speak_for_their_task_alone(tiny):
    class Straying(Spot):
        def decode(self, predictions, meta):
            return [
                mtvit_core.ImageResult(dataclasses.replace(found.instances, tasks=("det",) * len(found)))
                for found in super().decode(predictions, meta)
            ]

    class Silent(Spot):
        def decode(self, predictions, meta):
            return []

    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(PluginError) as error:
        model_of(tiny, Straying).predict(image)
    assert str(error.value) == (
        "task 'spot': decode gave objects of task 'det'; set `tasks` of its results to its own name."
    )
    with pytest.raises(PluginError) as error:
        model_of(tiny, Silent).predict(image)
    assert str(error.value) == "task 'spot': decode gave 0 results for 1 images; give one per image."


def test_a_head_only_reads_the_features(tiny):
    class Painting(SpotHead):
        def forward(self, features):
            features.last.patches.add_(1)
            return super().forward(features)

    class Straying(Spot):
        def head(self, backbone):
            return Painting(self.name, backbone.width)

    with torch.no_grad(), pytest.raises(PluginError) as error:
        model_of(tiny, Straying)(batch().images)
    assert str(error.value) == (
        "task 'spot': its head changed the features 'patches' in place, which other tasks read; work on a "
        "copy."
    )


@pytest.mark.parametrize("tokens", ["patches", "prefix"])
def test_a_head_reads_what_its_task_says(tiny, tokens):
    class Peeking(SpotHead):
        def forward(self, features):
            assert getattr(features.last, tokens).numel() >= 0
            return super().forward(features)

    class Denying(Spot):
        reads_patches = False

        def head(self, backbone):
            return Peeking(self.name, backbone.width)

    class Other(Spot):
        name = "other"

    alone = model_of(tiny, Denying)
    beside = model_of(tiny, Denying, Other)
    for model in (alone, beside, alone.eval()):
        with pytest.raises(PluginError) as error:
            model(batch().images)
        assert str(error.value) == (
            f"task 'spot': its head reads the {tokens} of the output, but its `reads_patches` says that it "
            "does not; return True there, or read the queries alone."
        )


def test_weights_have_one_owner(tiny):
    class Straying(Spot):
        def head(self, backbone):
            head = SpotHead(self.name, backbone.width)
            head.stolen = next(tiny.children())
            return head

    with pytest.raises(PluginError) as error:
        model_of(tiny, Straying)
    assert str(error.value).startswith("task 'spot': its weight 'head.stolen.")
    assert str(error.value).endswith(
        " of 'backbone'; a task owns its weights: build new ones in `head` and `tokens`."
    )


def test_every_weight_of_a_task_stands_under_its_name(tiny):
    model = model_of(tiny, Spot)
    assert set(model.parameter_owner().values()) == {"backbone", "spot"}
    assert all(key.startswith(("backbone.", "tasks.spot.")) for key in model.state_dict())
