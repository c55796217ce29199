"""The wheels as strangers get them: what they hold and ask for, and that each works with core alone."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mtvit_core
from mtvit_core.inference.predict import predict

ROOT = Path(__file__).resolve().parents[3]
SHORT = ("cls", "core", "dense", "det", "pose", "seg", "train")
IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(*sorted(name for name in sys.modules if name.startswith("mtvit") and "." not in name))
"""
SAVE_RANDOM_MODEL = """
import sys, mtvit_core
people = mtvit_core.Categories((mtvit_core.Category(1, "person", mtvit_core.COCO_PERSON),))
model = mtvit_core.build("vit_tiny_patch16_224", tasks=["pose"], categories=people, canvas=(64, 96))
mtvit_core.save(model, sys.argv[1])
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The built wheels by the short names of their packages."""
    out = tmp_path_factory.mktemp("dist")
    builds = [
        subprocess.Popen(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)],
            cwd=ROOT / "packages" / f"mtvit-{short}",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for short in SHORT
    ]
    for build in builds:
        report, _ = build.communicate(timeout=120)
        assert build.returncode == 0, report
    return {path.name.split("-")[0].removeprefix("mtvit_"): path for path in sorted(out.glob("*.whl"))}


@pytest.fixture(scope="module")
def third_parties(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that shows everything this interpreter has installed, except mtvit."""
    folder = tmp_path_factory.mktemp("third_parties")
    for site in map(Path, sys.path):
        if site.name in ("site-packages", "dist-packages"):
            for entry in site.iterdir():
                if (
                    "mtvit" not in entry.name
                    and entry.suffix != ".pth"
                    and not (folder / entry.name).exists()
                ):
                    (folder / entry.name).symlink_to(entry)
    return folder


class Machine:
    """A virtual environment with all third parties, and of mtvit what is installed from wheels."""

    def __init__(self, folder: Path, third_parties: Path, wheels: list[Path]) -> None:
        venv.create(folder, symlinks=True)
        self.python = folder / "bin" / "python"
        site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        (site / "third_parties.pth").write_text(f"{third_parties}\n", encoding="utf-8")
        self.run("-m", "pip", "install", "--no-deps", "--no-index", "--no-compile", *map(str, wheels))

    def run(self, *arguments: str) -> str:
        """The output of the machine's python, which must succeed."""
        done = subprocess.run(
            [str(self.python), "-I", *arguments], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def names_in(wheel: Path) -> set[str]:
    """Paths of the files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def read(wheel: Path, name: str) -> str:
    """A text file of a wheel's dist-info folder."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (path for path in archive.namelist() if path.endswith(f".dist-info/{name}"))
        return archive.read(path).decode()


def metadata(wheel: Path) -> Message:
    """The METADATA of a wheel."""
    return Parser().parsestr(read(wheel, "METADATA"))


def required(wheel: Path, *extras: str) -> set[str]:
    """Names of the distributions that a wheel requires, with those of some extras."""
    stated = metadata(wheel).get_all("Requires-Dist", [])
    lines = [
        line for line in stated if "extra ==" not in line or any(f"extra == '{e}'" in line for e in extras)
    ]
    return {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in lines}


def imported(short: str) -> set[str]:
    """Top-level names that a package's sources import, at any depth, standard library and itself aside."""
    source = ROOT / "packages" / f"mtvit-{short}" / "src"
    names = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {f"mtvit_{short}"}


def distributions(names: set[str]) -> set[str]:
    """The distributions that provide top-level names; editable siblings keep no list of theirs."""
    owners = importlib.metadata.packages_distributions()
    siblings = {f"mtvit_{short}": [f"mtvit-{short}"] for short in SHORT}
    found = [{**owners, **siblings}.get(name, [f"nothing provides {name}"])[0] for name in names]
    return {name.lower().replace("_", "-") for name in found}


def test_a_wheel_is_built_of_each_package(wheels: dict[str, Path]) -> None:
    assert tuple(wheels) == SHORT


@pytest.mark.parametrize("short", SHORT)
def test_a_wheel_holds_every_file_of_its_sources(wheels: dict[str, Path], short: str) -> None:
    """Recipes and weights too; an ignore rule that swallows a folder shows here."""
    source = ROOT / "packages" / f"mtvit-{short}" / "src"
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    shipped = {name for name in names_in(wheels[short]) if ".dist-info/" not in name}
    assert shipped == files
    assert f"mtvit_{short}/py.typed" in shipped


@pytest.mark.parametrize("short", SHORT)
def test_a_wheel_carries_licence_version_and_readme(wheels: dict[str, Path], short: str) -> None:
    facts = metadata(wheels[short])
    assert read(wheels[short], "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert facts["License-Expression"] == "Apache-2.0"
    assert facts["Requires-Python"] == ">=3.11"
    assert f"# mtvit-{short}" in str(facts.get_payload())


@pytest.mark.parametrize("short", SHORT)
def test_entry_points_lead_somewhere(wheels: dict[str, Path], short: str) -> None:
    project = ROOT / "packages" / f"mtvit-{short}" / "pyproject.toml"
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    stated = [
        *table.get("scripts", {}).items(),
        *table.get("entry-points", {}).get("mtvit", {}).items(),
    ]
    text = read(wheels[short], "entry_points.txt")
    for name, target in stated:
        assert f"{name} = {target}" in text.splitlines()
        assert f"{target.split(':')[0].replace('.', '/')}.py" in names_in(wheels[short])


@pytest.mark.parametrize("short", SHORT)
def test_a_wheel_requires_what_its_sources_import(wheels: dict[str, Path], short: str) -> None:
    """What an extra names, imported only where it is used; without extras, everything is needed."""
    extras = metadata(wheels[short]).get_all("Provides-Extra", [])
    ours = required(wheels[short], *(extra for extra in extras if extra != "all"))
    assert required(wheels[short]) <= distributions(imported(short)) <= ours


@pytest.mark.parametrize("short", SHORT)
def test_a_package_imports_with_core_alone(
    wheels: dict[str, Path], third_parties: Path, tmp_path: Path, short: str
) -> None:
    chosen = sorted({"core", short})
    machine = Machine(tmp_path / "machine", third_parties, [wheels[name] for name in chosen])
    found = machine.run("-c", IMPORT_ALL, f"mtvit_{short}").split()
    assert found == [f"mtvit_{name}" for name in chosen]


def test_poses_are_predicted_with_core_and_pose_alone(
    wheels: dict[str, Path], third_parties: Path, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "machine", third_parties, [wheels["core"], wheels["pose"]])
    plugins = json.loads(machine.run("-m", "mtvit_core", "plugins", "--json"))
    assert [task["name"] for task in plugins["tasks"]] == ["pose"]
    assert plugins["broken"] == []

    model, image, out = tmp_path / "pose.safetensors", tmp_path / "noise.png", tmp_path / "out"
    machine.run("-c", SAVE_RANDOM_MODEL, str(model))
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(image)
    machine.run("-m", "mtvit_core", "predict", str(model), str(image), f"--out={out}", "--min-score=0")
    (alone,) = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    people = alone["objects"]
    assert people
    assert {(person["task"], person["category"]) for person in people} == {("pose", "person")}
    assert (out / "noise.jpg").is_file()

    (together,) = predict(mtvit_core.load(model), [image])
    for key in ("score", "bbox", "keypoints"):
        mine = [person[key] for person in together.to_json()["objects"]]
        assert [person[key] for person in people] == [pytest.approx(value, abs=1e-4) for value in mine], key
