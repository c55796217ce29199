"""Runs that start from a model: what they keep, what is fresh, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import mtvit_core
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories
from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.tasks import task_names
from mtvit_train.build.warm_start import known_categories, notes_of_heads, read_start, telling_of_heads
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.scenes.writer import write_scenes

OPTIONS = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
QUERIES = {"det": {"queries": 6}, "seg": {"queries": 6}, "pose": {"queries": 4}}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=4, val=2, seed=3, size=64)
    return folder


@pytest.fixture(scope="module")
def saved(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for boxes and masks of scenes."""
    path = tmp_path_factory.mktemp("model") / "first.safetensors"
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=OPTIONS)
    tasks = {name: QUERIES[name] for name in ("det", "seg")}
    categories = read_coco(scenes, "train").categories
    mtvit_core.save(mtvit_core.build(backbone, tasks, categories, person_canvas=(64, 48)), path)
    return path


def settings(saved: Path, data: Path, *more: str, plugins: tuple[str, ...] = ("det", "pose")) -> RunConfig:
    given = (f"model.start={saved}", "tasks.pose.queries=4", "train.threads=1", *more)
    return read_run(None, {"plugins": plugins, "data": str(data)}, given)


def started(config: RunConfig) -> MultiTaskViT:
    """The model of a run, as training begins."""
    tasks = task_names(config)
    start = read_start(config, tasks)
    with telling_of_heads():
        data = read_data(config, Path(str(config.data)), known_categories(start, tasks, config.model.heads))
    return make_model(config, data.train.categories, start)


def other_categories(scenes: Path, folder: Path, change: dict[str, str], only: int = 8) -> Path:
    """Scenes whose annotation files call categories otherwise, and list the first few."""
    (folder / "annotations").mkdir(parents=True)
    for pixels in ("train2017", "val2017", "depth", "semantic", "normals"):
        (folder / pixels).symlink_to(scenes / pixels)
    for source in (scenes / "annotations").iterdir():
        document = json.loads(source.read_text())
        for category in document.get("categories", []):
            category["name"] = change.get(category["name"], category["name"])
        if "categories" in document:
            document["categories"] = [c for c in document["categories"] if c["id"] <= only]
            document["annotations"] = [a for a in document["annotations"] if a["category_id"] <= only]
        (folder / "annotations" / source.name).write_text(json.dumps(document))
    return folder


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_backbone_and_heads_stay_and_further_tasks_are_fresh(saved: Path, scenes: Path) -> None:
    model, source = started(settings(saved, scenes)), mtvit_core.load(saved)
    assert [task.name for task in model.task_list] == ["det", "pose"]
    assert same(model.backbone, source.backbone)
    assert same(model.modules_of("det"), source.modules_of("det"))
    assert model.task_list[0].config == source.task_list[0].config
    again = started(settings(saved, scenes))
    assert same(model.modules_of("pose"), again.modules_of("pose"))


def test_settings_that_change_no_weight_may_differ(saved: Path, scenes: Path) -> None:
    model = started(settings(saved, scenes, "tasks.det.loss_class=3.0"))
    config = model.task_list[0].config.model_dump()
    assert (config["loss_class"], config["queries"]) == (3.0, 6)
    assert same(model.modules_of("det"), mtvit_core.load(saved).modules_of("det"))


def test_data_may_lack_categories_of_the_model(saved: Path, scenes: Path, tmp_path: Path) -> None:
    data = other_categories(scenes, tmp_path / "few", {}, only=5)
    config = settings(saved, data)
    start = read_start(config, ("det", "pose"))
    found = read_data(config, data, known_categories(start, ("det", "pose")))
    assert found.train.categories == mtvit_core.load(saved).categories
    annotated = found.train.annotated(0)
    assert annotated is not None
    assert annotated.tolist() == [True] * 5 + [False] * 3


def test_without_a_kept_head_the_categories_are_those_of_the_data(
    saved: Path, scenes: Path, tmp_path: Path
) -> None:
    data = other_categories(scenes, tmp_path / "other", {"heart": "spade"})
    model = started(settings(saved, data, plugins=("pose",)))
    assert same(model.backbone, mtvit_core.load(saved).backbone)
    assert isinstance(model.categories, Categories)
    assert model.categories[7].name == "spade"


def test_a_run_from_a_model(saved: Path, scenes: Path, tmp_path: Path) -> None:
    result = train("--data", str(scenes), "--out", str(tmp_path / "run"), start=saved)
    assert result.exit_code == 0, result.output
    trained = mtvit_core.load(tmp_path / "run" / "model.safetensors")
    assert {task.name for task in trained.task_list} == {"det", "pose"}


def train(*arguments: str, start: Path) -> Result:
    sets = [f"model.start={start}", "tasks.pose.queries=4", "train.threads=1", "train.batch_size=2"]
    more = [part for setting in sets for part in ("--set", setting)]
    return CliRunner().invoke(main, ["--plugins", "det,pose", "--steps", "1", *arguments, *more])


def complaint(config: RunConfig, kind: type[Exception] = ConfigError) -> str:
    with pytest.raises(kind) as caught:
        started(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_category_is_refused(saved: Path, scenes: Path, tmp_path: Path) -> None:
    data = other_categories(scenes, tmp_path / "other", {"heart": "spade"})
    assert complaint(settings(saved, data), DataError) == (
        f"data {data}: category 8 is called 'spade', but the model knows it as 'heart'; ids and names must "
        'agree, or merge by name: merge = "name". To train for the categories of the data, set model.heads = '
        '"by-name", which keeps what the model knows by name, or "fresh".'
    )


def test_heads_by_name_keep_what_the_model_knows(saved: Path, scenes: Path, tmp_path: Path) -> None:
    data = other_categories(scenes, tmp_path / "other", {"heart": "spade"})
    config = settings(saved, data, "model.heads=by-name", plugins=("det",))
    model, source = started(config), mtvit_core.load(saved)
    assert [category.name for category in model.categories][-1] == "spade"
    new, old = (m.modules_of("det").tokens["det"].score.weight for m in (model, source))
    assert torch.equal(new[:7], old[:7])
    assert not torch.equal(new[7], old[7])
    known = ", ".join(category.name for category in list(source.categories)[:7])
    assert notes_of_heads(source, config.model, model.categories) == [
        f"model.heads: categories of {saved} by name, kept: {known}; fresh: spade; dropped: heart."
    ]


def test_fresh_heads_are_those_of_a_new_model(saved: Path, scenes: Path, tmp_path: Path) -> None:
    data = other_categories(scenes, tmp_path / "other", {"heart": "spade"})
    config = settings(saved, data, "model.heads=fresh", "tasks.det.queries=3", plugins=("det",))
    model = started(config)
    assert same(model.backbone, mtvit_core.load(saved).backbone)
    assert model.task_list[0].config.model_dump()["queries"] == 3
    assert not same(model.modules_of("det"), mtvit_core.load(saved).modules_of("det"))
    assert same(model.modules_of("det"), started(config).modules_of("det"))


def test_heads_without_a_model_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^model.heads is 'fresh', but there is no model whose heads it "):
        read_start(read_run(None, {}, ("model.heads=fresh",)), ("det",))


def test_a_run_with_one_category_more(saved: Path, scenes: Path, tmp_path: Path) -> None:
    data = other_categories(scenes, tmp_path / "other", {"heart": "spade"})
    more = ("--out", str(tmp_path / "run"), "--set", "model.heads=by-name")
    result = train("--data", str(data), *more, start=saved)
    assert result.exit_code == 0, result.output
    assert "fresh: spade; dropped: heart." in result.output
    assert mtvit_core.load(tmp_path / "run").categories[7].name == "spade"


def test_settings_that_do_not_fit_the_weights_are_refused(saved: Path, scenes: Path) -> None:
    assert complaint(settings(saved, scenes, "tasks.det.blocks=1", "tasks.det.variant=yolos")).startswith(
        "tasks.det: its weights do not fit the settings blocks = 1, variant = 'yolos': missing: "
    )


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (
            "model.backbone=vit_base_patch16_224",
            "its backbone is 'vit_tiny_patch16_224', but model.backbone is 'vit_base_patch16_224'; leave "
            "model.backbone out, for the model brings it.",
        ),
        (
            "model.image_size=[96, 96]",
            "its image_size is (64, 64), but model.image_size is (96, 96); leave model.image_size out, for "
            "the model brings it.",
        ),
        (
            "model.pretrained=true",
            "its pretrained is False, but model.pretrained is True; leave model.pretrained out, for the "
            "model brings it.",
        ),
    ],
)
def test_settings_of_another_backbone_are_refused(
    saved: Path, scenes: Path, setting: str, expected: str
) -> None:
    assert complaint(settings(saved, scenes, setting)) == f"model.start {saved}: {expected}"


def test_a_model_that_is_not_there_is_refused(scenes: Path, tmp_path: Path) -> None:
    result = train("--data", str(scenes), "--out", str(tmp_path / "run"), start=tmp_path / "no.safetensors")
    assert (result.exit_code, result.output) == (
        2,
        f"error: checkpoint {tmp_path / 'no.safetensors'}: no such file; give the path of a "
        "model.safetensors.\n",
    )
