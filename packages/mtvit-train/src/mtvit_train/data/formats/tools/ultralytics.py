"""Ultralytics' form, which Roboflow and others write: ``data.yaml``, and label files beside the images."""

from pathlib import Path

import yaml

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import SplitName
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.formats.tools.data_yaml import DataYaml, read_data_yaml
from mtvit_train.data.formats.tools.translation import Plan, Translated
from mtvit_train.data.formats.tools.yolo_labels import translate

_ENDINGS = (".yaml", ".yml")


def ultralytics(root: Path) -> Plan | None:
    """Return how such a folder is read; None where it is no such folder.

    Args:
        root: The folder, or its yaml file.

    Raises:
        DataError: the yaml is malformed, or there are several.
    """
    files = [root] if root.is_file() and root.suffix.lower() in _ENDINGS else _yaml_files(root)
    if not files:
        return None
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise DataError(f"{root}: may be read by {names}; give the file instead of the folder.")
    found = read_data_yaml(files[0])
    if not found.splits["train"]:
        raise DataError(f"{found.path}: has no train; name the folder of the training images.")
    named = found.splits["val"]
    shared = not named or all(found.find(value) is None for value in named)
    lacking = f" ({', '.join(named)} is not there)" if named and shared else ""
    val = f"a share of train{lacking}" if shared else ", ".join(named)
    line = (
        f"{found.path}: Ultralytics' data.yaml, {len(found.names)} classes"
        f"{f', {found.form.points} keypoints' if found.points else ''}; train: "
        f"{', '.join(found.splits['train'])}; val: {val}"
    )

    def read(split: SplitName, faults: Faults) -> Translated:
        return _translate(found, "train" if shared else split, faults)

    return Plan(line, shared, read)


def _yaml_files(root: Path) -> list[Path]:
    """List the yaml files that name classes and images; ``data.yaml`` alone, where it is one of them."""
    if not root.is_dir():
        return []
    found = [path for path in sorted(root.iterdir()) if path.suffix.lower() in _ENDINGS and _is_data(path)]
    usual = [path for path in found if path.stem in ("data", "dataset")]
    return usual if len(usual) == 1 else found


def _is_data(path: Path) -> bool:
    try:
        content = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError):
        return path.stem == "data"  # it is meant, and what is wrong is told
    return isinstance(content, dict) and "train" in content and ("names" in content or "nc" in content)


def _translate(found: DataYaml, split: SplitName, faults: Faults) -> Translated:
    return translate(found.path, found.images(split), found.categories(), found.form, faults)
