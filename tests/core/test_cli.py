"""The command ``mtvit``: from arguments to files, and every message it ends with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

import mtvit_core
from mtvit_core.categories import Categories, Category
from mtvit_core.cli import main
from mtvit_core.device import pick_device
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.keypoints import COCO_PERSON
from mtvit_core.person_boxes import read_person_boxes
from mtvit_core.plugin_checks import CORE_COMMANDS

# A task without queries: it scores the mean patch, and its box is the middle half of what it sees.
MIDDLE = """
from dataclasses import dataclass
import torch
from torch import nn
from mtvit_core import Instances, Task, TaskConfig, hookimpl

class MiddleConfig(TaskConfig):
    view: str = "image"

class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)
    def forward(self, features):
        return self.score(features.last.patches.flatten(2).mean(2)).sigmoid()[:, 0]

class Middle(Task):
    name = "middle"
    api = 1
    views = frozenset({"image", "person"})
    Config = MiddleConfig
    needs = frozenset({"boxes"})
    @property
    def view(self): return self.config.view
    @property
    def finds_boxes(self): return self.view == "image"
    def tokens(self, backbone): return []
    def head(self, backbone): return Head(backbone.width)
    def targets(self, annotations, canvas, device): raise NotImplementedError
    def loss(self, predictions, targets, match): raise NotImplementedError
    def evaluator(self): raise NotImplementedError
    def decode(self, predictions, meta):
        return [self.one(score, m) for score, m in zip(predictions, meta)]
    def one(self, score, m):
        x0, y0, x1, y1 = m.box or (0, 0, m.width, m.height)
        box = [(3 * x0 + x1) / 4, (3 * y0 + y1) / 4, (x0 + 3 * x1) / 4, (y0 + 3 * y1) / 4]
        labels, keypoints = torch.tensor([0]), torch.full((1, 17, 3), torch.nan)
        return Instances(m.height, m.width, self.categories, labels, score[None], torch.tensor([box]),
                         ("middle",), (None,), keypoints, m.image_id, m.file_name)

@hookimpl
def mtvit_task(): return Middle
"""
COMMAND = """
import click
from mtvit_core.errors import DataError
from mtvit_core.hookspecs import hookimpl

@click.command("measure")
def measure():
    "Measure something."
    raise DataError("file x: torn; mend it.")

@hookimpl
def mtvit_commands(): return [measure]
"""
CATEGORIES = Categories((Category(7, "person", COCO_PERSON), Category(9, "cup")))


def run(*arguments: str | Path) -> Result:
    """Run ``mtvit`` in this process; what is not meant to be raised is raised."""
    return CliRunner(catch_exceptions=False).invoke(main, [str(a) for a in arguments], prog_name="mtvit")


@pytest.fixture
def middle(install, only_these):
    install("acme-middle", MIDDLE, "middle", "0.4")


@pytest.fixture
def model(middle, tmp_path):
    """Path of a saved model with the task ``middle``."""
    made = mtvit_core.build("test_vit", ["middle"], CATEGORIES, canvas=(32, 48), person_canvas=(32, 32))
    made.modules_of("middle").head.score.bias.data.fill_(2.0)
    mtvit_core.save(made, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def images(tmp_path):
    """Folder with two images, 40 x 20 and 100 x 60."""
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (40, 20), "red").save(folder / "a.png")
    Image.new("RGB", (100, 60), "blue").save(folder / "b.jpg")
    return folder


def test_predict_writes_pictures_and_one_json(model, images, tmp_path):
    out = tmp_path / "out"
    result = run("predict", model, images, "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"Images: 2, objects: 2. Pictures and predictions.json are in {out}.\n"
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "b.jpg", "predictions.json"]
    first, second = json.loads((out / "predictions.json").read_text())
    assert (first["file_name"], first["height"], first["width"]) == (str(images / "a.png"), 20, 40)
    (thing,) = first["objects"]
    assert 0.3 <= thing.pop("score") <= 1
    expected = {"id": 1, "task": "middle", "category": "person", "category_id": 7}
    assert thing == {**expected, "bbox": [10.0, 5.0, 20.0, 10.0]}
    assert second["objects"][0]["bbox"] == [25.0, 15.0, 50.0, 30.0]
    with Image.open(out / "b.jpg") as picture:
        assert picture.size == (600, 360)


def test_predict_takes_files_and_leaves_out_low_scores(model, images, tmp_path):
    result = run("predict", model, images / "b.jpg", "--out", tmp_path / "out", "--min-score", "0.999")
    assert result.stdout.startswith("Images: 1, objects: 0.")
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())[0]["objects"] == []


def test_predict_does_not_depend_on_the_batch_size(model, images, tmp_path):
    scores = []
    for size in ("1", "2"):
        run("predict", model, images, "--out", tmp_path / size, "--batch-size", size)
        entries = json.loads((tmp_path / size / "predictions.json").read_text())
        scores.append([entry["objects"][0]["score"] for entry in entries])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def refusal(*arguments: str | Path) -> str:
    """Run a command that must end with exit code 2 and one line, and return the line."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def test_predict_overwrites_nothing(model, images, tmp_path):
    out = tmp_path / "out"
    run("predict", model, images, "--out", out)
    assert refusal("predict", model, images, "--out", out) == (
        f"error: out {out}: predictions.json is there already; give another folder with --out."
    )
    (out / "predictions.json").unlink()
    assert refusal("predict", model, images, "--out", out) == (
        f"error: out {out}: a.jpg is there already; give another folder with --out."
    )
    assert refusal("predict", model, images, "--out", out / "a.jpg") == (
        f"error: out {out / 'a.jpg'}: this is a file; give a folder."
    )


def test_predict_refuses_two_images_of_one_name(model, images, tmp_path):
    Image.new("RGB", (4, 4)).save(images / "a.bmp")
    out = tmp_path / "out"
    assert refusal("predict", model, images, "--out", out) == (
        f"error: images {images / 'a.bmp'} and {images / 'a.png'}: both would be written to {out / 'a.jpg'}; "
        "predict them into separate folders."
    )


def test_an_unreadable_header_stops_predict_before_it_starts(model, images, tmp_path):
    (images / "c.png").write_text("no image")
    out = tmp_path / "out"
    known = "allowed are JPEG, PNG, BMP, GIF, WebP, TIFF and PPM."
    assert refusal("predict", model, images, "--out", out) == (
        f"error: {images / 'c.png'}: not an image in a known format; {known}"
    )
    (images / "d.png").write_text("no image")
    assert refusal("predict", model, images, "--out", out) == (
        f"error: {images / 'c.png'}: not an image in a known format; {known} "
        "1 more of 4 images cannot be read; nothing was done."
    )
    assert not out.exists()


def test_damaged_pixels_are_named_and_cost_no_other_result(model, images, tmp_path):
    noise = torch.randint(0, 255, (80, 80, 3), dtype=torch.uint8).numpy()
    Image.fromarray(noise).save(images / "c.jpg")
    whole = (images / "c.jpg").read_bytes()
    (images / "aa.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "c.jpg").unlink()
    out = tmp_path / "out"
    result = run("predict", model, images, "--out", out)
    assert result.exit_code == 2
    assert result.stdout.startswith("Images: 2, objects: 2.")
    assert result.stderr.startswith(
        f"error: 1 of 3 images were left out: {images / 'aa.jpg'}: the image is damaged"
    )
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "b.jpg", "predictions.json"]
    names = [Path(entry["file_name"]).name for entry in json.loads((out / "predictions.json").read_text())]
    assert names == ["a.png", "b.jpg"]


def test_predict_names_what_is_missing(model, images, tmp_path):
    out = tmp_path / "out"
    nothing = tmp_path / "nothing"
    assert refusal("predict", nothing, images, "--out", out).startswith(
        f"error: checkpoint {nothing}: there is no"
    )
    assert refusal("predict", model, nothing, "--out", out) == (
        f"error: {nothing}: no such file or folder; check the path."
    )
    assert refusal("predict", model, images, "--out", out, "--tasks", "middle,det") == (
        f"error: checkpoint {model}: it has no task 'det'; it holds middle."
    )
    assert not out.exists()


@pytest.fixture
def person_model(middle, tmp_path):
    """Path of a saved model whose task looks at one person at a time."""
    tasks = {"middle": {"view": "person"}}
    made = mtvit_core.build("test_vit", tasks, CATEGORIES, canvas=(32, 48), person_canvas=(32, 32))
    made.modules_of("middle").head.score.bias.data.fill_(2.0)
    mtvit_core.save(made, tmp_path / "person.safetensors")
    return tmp_path / "person.safetensors"


def write_boxes(tmp_path, entries) -> Path:
    """Write a file for ``--boxes``."""
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(entries))
    return file


def test_predict_looks_at_the_people_of_a_file(person_model, images, tmp_path):
    people = [{"bbox": [40, 20, 40, 40], "category": "person"}, {"bbox": [0, 0, 20, 20]}]
    cup = {"bbox": [0, 0, 9, 9], "category": "cup"}
    entries = [
        {"file_name": "elsewhere/b.jpg", "objects": [*people, cup]},
        {"file_name": "a.png", "objects": []},
    ]
    boxes = write_boxes(tmp_path, entries)
    result = run("predict", person_model, images, "--out", tmp_path / "out", "--boxes", boxes)
    assert result.stdout.startswith("Images: 2, objects: 2.")
    first, second = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert first["objects"] == []
    assert [thing["bbox"] for thing in second["objects"]] == [[50, 30, 20, 20], [5, 5, 10, 10]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not a readable JSON file (Expecting value: line 1 column 2 (char 1))."),
        ("{}", "it holds no list; give a predictions.json of `mtvit predict`, or a COCO detection file."),
        ('[{"file_name": "a.png"}]', "entry 0 is not an object with file_name and objects."),
        (
            '[{"file_name": "x/a.png", "objects": []}, {"file_name": "y/a.png", "objects": []}]',
            "'a.png' stands twice; boxes are found by the name without its folder.",
        ),
        (
            '[{"file_name": "a.png", "objects": []}]',
            "there are no boxes for 'b.jpg'; add an entry, if need be without objects.",
        ),
        (
            '[{"file_name": "b.jpg", "objects": []}, {"file_name": "a.png", "objects": [{"bbox": [1, 2]}]}]',
            "an object of 'a.png' has no bbox of four numbers x y width height, or a score that is "
            "no number.",
        ),
        (
            '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]',
            "it names images by their ids, and 'a.png' does not tell one; give the COCO annotation file of "
            "the images with --annotations.",
        ),
        (
            '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}, {"image_id": 1}]',
            "entry 1 is not an object with image_id, category_id and bbox.",
        ),
    ],
)
def test_malformed_boxes_are_refused(person_model, images, tmp_path, text, message):
    file = tmp_path / "boxes.json"
    file.write_text(text)
    out = tmp_path / "out"
    found = refusal("predict", person_model, images, "--out", out, "--boxes", file)
    assert found == f"error: {file}: {message}"


def test_boxes_that_are_missing_or_of_no_use_are_refused(model, person_model, images, tmp_path):
    arguments = (
        "predict",
        person_model,
        images,
        "--out",
        tmp_path / "out",
        "--boxes",
        tmp_path / "none.json",
    )
    assert refusal(*arguments) == (
        f"error: {tmp_path / 'none.json'}: no such file; give the predictions.json of an "
        "earlier run, or a COCO detection file."
    )
    boxes = write_boxes(tmp_path, [{"file_name": n, "objects": []} for n in ("a.png", "b.jpg")])
    assert refusal("predict", model, images, "--out", tmp_path / "out", "--boxes", boxes) == (
        f"error: boxes {boxes}: no task of {model} looks at one person at a time; leave --boxes out."
    )


@pytest.fixture
def detections(tmp_path):
    """A COCO detection file of images 7 and 9, and the annotation file that tells which they are."""
    found = [
        {"image_id": 7, "category_id": 7, "bbox": [40, 20, 40, 40], "score": 0.5},
        {"image_id": 7, "category_id": 9, "bbox": [0, 0, 9, 9], "score": 0.9},
    ]
    listed = {"images": [{"id": 9, "file_name": "a.png"}, {"id": 7, "file_name": "x/b.jpg"}]}
    boxes, annotations = tmp_path / "detections.json", tmp_path / "instances.json"
    boxes.write_text(json.dumps(found))
    annotations.write_text(json.dumps(listed))
    return boxes, annotations


def test_predict_looks_at_the_people_of_a_coco_detection_file(person_model, images, tmp_path, detections):
    boxes, annotations = detections
    arguments = ("predict", person_model, images, "--boxes", boxes, "--annotations", annotations)
    run(*arguments, "--out", tmp_path / "out")
    first, second = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert first["objects"] == []
    assert [thing["bbox"] for thing in second["objects"]] == [[50, 30, 20, 20]]


def test_ids_are_the_numbers_that_files_are_named_by(tmp_path, detections):
    boxes, _ = detections
    found = read_person_boxes(boxes, [Path("x/000000000007.jpg"), Path("000000000011.jpg")], CATEGORIES)
    assert [people.tolist() for people in found] == [[[40, 20, 80, 60, 0.5]], []]
    named = [Path("a.png"), Path("b.jpg")]
    assert [len(people) for people in read_person_boxes(boxes, named, CATEGORIES, [7, 9])] == [1, 0]
    with pytest.raises(DataError) as error:
        read_person_boxes(boxes, [Path("8.jpg")], CATEGORIES)
    assert str(error.value) == (
        f"{boxes}: it has boxes of 1 images, but not of '8.jpg' (id 8) or any other that was given; give the "
        "file of these images, or their ids with --annotations."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it holds no list of images with file_name and id."),
        ('{"images": []}', "it does not list 'a.png'; give the file of these images."),
    ],
)
def test_annotations_that_do_not_fit_are_refused(person_model, images, tmp_path, detections, text, message):
    boxes, annotations = detections
    annotations.write_text(text)
    arguments = ("predict", person_model, images, "--out", tmp_path / "out", "--boxes", boxes)
    assert refusal(*arguments, "--annotations", annotations) == f"error: {annotations}: {message}"


def test_another_model_finds_the_people(model, person_model, images, tmp_path):
    arguments = (
        "predict",
        person_model,
        images,
        "--detector",
        model,
        "--person-score",
        "0",
        "--min-score",
        0,
    )
    run(*arguments, "--out", tmp_path / "out")
    run("predict", model, images, "--out", tmp_path / "det", "--min-score", "0")
    poses, boxes = (json.loads((tmp_path / f / "predictions.json").read_text()) for f in ("out", "det"))
    for image, of_detector in zip(poses, boxes, strict=True):
        (pose,), (person,) = image["objects"], of_detector["objects"]
        x, y, width, height = person["bbox"]
        assert pose["bbox"] == pytest.approx([x + width / 4, y + height / 4, width / 2, height / 2])


def test_detectors_that_find_no_people_are_refused(model, person_model, images, tmp_path, detections):
    boxes, annotations = detections
    start = ("predict", person_model, images, "--out", tmp_path / "out")
    assert refusal(*start, "--detector", person_model) == (
        f"error: detector {person_model}: none of its tasks (middle) finds boxes; give another model."
    )
    cups = mtvit_core.build("test_vit", ["middle"], Categories((Category(3, "cup"),)), canvas=(32, 48))
    mtvit_core.save(cups, tmp_path / "cups.safetensors")
    assert refusal(*start, "--detector", tmp_path / "cups.safetensors") == (
        f"error: detector {tmp_path / 'cups.safetensors'}: it knows no person among its 1 categories; give "
        "another model."
    )
    assert refusal(*start, "--detector", model, "--boxes", boxes) == (
        f"error: boxes {boxes} and detector {model}: each tells who to look at; give one."
    )
    assert refusal(*start, "--annotations", annotations) == (
        f"error: annotations {annotations}: they tell the ids of images for --boxes; give both."
    )
    assert refusal("predict", model, images, "--out", tmp_path / "out", "--detector", model) == (
        f"error: detector {model}: no task of {model} looks at one person at a time; leave --detector out."
    )


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"device 'gpu': torch cannot use it here \(.*\); give auto, cpu"):
        pick_device("gpu")
    with pytest.raises(ConfigError, match=r"device 'cuda:99': torch cannot use it here"):
        pick_device("cuda:99")
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type in ("cpu", "cuda")


def test_plugins_lists_tasks_and_commands(middle, install):
    install("acme-tools", COMMAND, "tools")
    text = run("plugins").stdout
    for word in ("middle", "boxes", "image", "acme-middle", "0.4", "measure", "acme-tools 1.2", "tools"):
        assert word in text
    assert "Broken" not in text


def test_plugins_speaks_json(middle, install):
    install("acme-tools", COMMAND, "tools")
    install("acme-broken", "import not_there", "late")
    found = json.loads(run("plugins", "--json").stdout)
    middle_task = {"distribution": "acme-middle", "version": "0.4", "entry_point": "middle", "name": "middle"}
    looks = {"views": ["image", "person"], "exportable": False}
    assert found["tasks"] == [{**middle_task, "needs": ["boxes"], **looks}]
    tools = {"distribution": "acme-tools", "version": "1.2", "entry_point": "tools", "name": "measure"}
    assert found["commands"] == [tools]
    (broken,) = found["broken"]
    assert broken == {
        "distribution": "acme-broken",
        "version": "1.2",
        "entry_point": "late",
        "phase": "import",
        "cause": "ModuleNotFoundError: No module named 'not_there'",
        "remedy": "Reinstall acme-broken with what it needs, or uninstall it.",
        "task": "late",
    }
    (broken,) = json.loads(run("plugins", "--json", "-v").stdout)["broken"]
    assert "acme_broken.py" in broken["traceback"]


def test_plugins_shows_broken_ones_with_cause_and_on_demand_the_traceback(only_these, install, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    install("acme-broken", "raise ValueError('see [red] here')", "late")
    text = run("plugins").stdout
    for word in (
        "No task is installed",
        "acme-broken 1.2",
        "import",
        "ValueError: see [red] here",
        "Reinstall",
    ):
        assert word in text
    assert "Traceback" not in text
    for arguments in (["plugins", "-v"], ["-v", "plugins"]):
        assert "Traceback (most recent call last)" in run(*arguments).stdout


def test_plugins_lists_a_task_that_cannot_be_built_as_broken(only_these, install):
    source = MIDDLE.replace("return Head(backbone.width)", "raise RuntimeError('luck')")
    install("acme-middle", source, "middle")
    found = json.loads(run("plugins", "--json", "-v").stdout)
    (broken,) = found["broken"]
    assert found["tasks"] == []
    assert (broken["phase"], broken["cause"]) == ("build", "head raised RuntimeError: luck")
    assert "RuntimeError: luck" in broken["traceback"]


STRICT_ERROR = (
    "error: plugins: strict, but one is broken: acme-broken 1.2, entry point 'late': import failed: "
    "ModuleNotFoundError: No module named 'not_there'. Reinstall acme-broken with what it needs, or "
    "uninstall it."
)


def test_strict_by_option_ends_any_command(only_these, install, monkeypatch):
    install("acme-tools", COMMAND, "tools")
    install("acme-broken", "import not_there", "late")
    assert refusal("--strict-plugins", "measure") == STRICT_ERROR
    listed = run("--strict-plugins", "plugins", "--json")
    assert (listed.exit_code, len(json.loads(listed.stdout)["broken"])) == (2, 1)
    assert run("plugins").exit_code == 0
    monkeypatch.setenv("MTVIT_STRICT_PLUGINS", "1")
    assert refusal("measure") == STRICT_ERROR
    assert run("plugins").exit_code == 2


def test_a_wrong_choice_of_plugins_is_one_line(only_these, monkeypatch):
    monkeypatch.setenv("MTVIT_PLUGINS", "det")
    for arguments in (["--help"], ["measure"], ["plugins"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr == (
            "error: MTVIT_PLUGINS: no plugin is called 'det'; installed: none. Give names of entry points or "
            "packages, comma-separated.\n"
        )


def test_help_lists_commands_of_plugins_and_warns_of_broken_ones(only_these, install):
    install("acme-tools", COMMAND, "tools")
    install("acme-broken", "import not_there", "late")
    result = run("--help")
    assert result.exit_code == 0
    for line in (
        "plugins List installed tasks",
        "predict Find objects in images",
        "measure Measure something.",
    ):
        assert line in " ".join(result.stdout.split())
    assert result.stderr == (
        "warning: acme-broken 1.2, entry point 'late': import failed: ModuleNotFoundError: No module named "
        "'not_there'. Reinstall acme-broken with what it needs, or uninstall it.\n"
    )


def test_an_error_in_a_plugins_command_is_one_line_and_v_shows_where(only_these, install):
    install("acme-tools", COMMAND, "tools")
    assert refusal("measure") == "error: file x: torn; mend it."
    result = run("-v", "measure")
    assert result.exit_code == 2
    assert "acme_tools.py" in result.stderr
    assert result.stderr.endswith("error: file x: torn; mend it.\n")


def test_an_unknown_command_names_the_nearest(only_these):
    result = run("predikt")
    assert result.exit_code == 2
    assert "No such command 'predikt'. Did you mean 'predict'?" in result.stderr


def test_plugins_may_not_take_the_names_of_own_commands():
    assert sorted(main.commands) == list(CORE_COMMANDS)


HEAVY = ("torch", "timm", "PIL", "scipy", "rich", "pycocotools")
LOOK = "import sys; {}; print(sorted(set(sys.modules) & set({!r})))"


def loaded_by(statements: str) -> str:
    """Return which heavy modules a fresh process loads."""
    code = LOOK.format(statements, HEAVY)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_needs_no_torch(tmp_path):
    alone = "import importlib.metadata as m; m.entry_points = lambda group: []; "
    help_ = alone + "from mtvit_core.cli import main; main(['--help'], standalone_mode=False)"
    assert loaded_by(help_).splitlines()[-1] == "[]"


def test_importing_the_package_needs_no_torch():
    assert loaded_by("import mtvit_core").strip() == "[]"
    assert loaded_by("import mtvit_core; mtvit_core.hookimpl").strip() == "[]"
    assert loaded_by("import PIL").strip() == "['PIL']"


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "mtvit_core", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == f"mtvit, version {mtvit_core.__version__}\n"
