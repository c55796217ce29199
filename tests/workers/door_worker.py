"""Every public function that users call, with values of every kind: a result, or one line of mtvit's.

    python -m workers.door_worker EXAMPLES

In a process of its own, since the tests check types where users' programs do not. Hypothesis draws the
values; what it finds is printed, a line for each place, with the shortest arguments that led there.
"""

import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # nothing is fetched

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

import mtvit_core as m
from mtvit_core.model.backbone import create_backbone

CATEGORIES = m.Categories((m.Category(7, "cat"), m.Category(3, "person", m.COCO_PERSON)))


def small(tasks: Any) -> m.MultiTaskViT:
    """A tiny model."""
    options = {"patch_size": 16, "embed_dim": 8, "depth": 1, "num_heads": 1}
    backbone = create_backbone("vit_tiny_patch16_224", (32, 32), options=options)
    return m.build(backbone, tasks, CATEGORIES, person_canvas=(32, 32)).eval()


torch.manual_seed(0)
torch.set_num_threads(1)
MODEL, TOPDOWN = small({"det": {"queries": 3}}), small({"pose": {"variant": "tokenpose"}})
(FOUND,) = MODEL.predict(np.zeros((20, 30, 3), np.uint8))

numbers = st.one_of(
    st.integers(-3, 9),
    st.floats(width=16),
    st.sampled_from([2**31, -(2**63), 10**30, 1e-300, float("nan"), float("inf")]),
)
atoms = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.text(max_size=4),
    st.binary(max_size=4),
    st.sampled_from(
        ["det", "instance", "image", "person", "cat", "vit_tiny_patch16_224", ".", "/", "a.jpg", "a\x00b"]
    ),
    st.sampled_from([Path(), Path("none.safetensors"), Path("out.safetensors"), object(), int, len, ...]),
    st.sampled_from([np.int64(3), np.float32(0.5), np.bool_(True), 1j, slice(None, None, 0), range(3)]),
)
shapes = st.lists(st.integers(0, 4), max_size=4)
arrays = st.builds(
    lambda shape, kind: np.zeros(shape, kind),
    shapes,
    st.sampled_from(["u1", "f4", "f8", "i8", "?", "c8", "U3", "O"]),
)
types = [torch.uint8, torch.float32, torch.int64, torch.bool, torch.float16, torch.complex64]
tensors = st.builds(lambda shape, kind: torch.zeros(shape, dtype=kind), shapes, st.sampled_from(types))
pictures = st.builds(
    lambda mode, width, height: Image.new(mode, (width, height)),
    st.sampled_from(["RGB", "L", "P", "1", "I;16", "F", "RGBA", "CMYK"]),
    st.integers(0, 3),
    st.integers(0, 3),
)
ours = st.sampled_from(
    [CATEGORIES, CATEGORIES[0], m.COCO_PERSON, MODEL, FOUND, FOUND.instances, m.Rle((2, 2), "4")]
)
single = st.one_of(atoms, arrays, tensors, pictures, ours)
anything = st.recursive(
    single,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(0, 3)), inner, max_size=2),
        st.builds(iter, st.lists(inner, max_size=2)),
    ),
    max_leaves=4,
)
images = st.builds(lambda h, w: np.zeros((h, w, 3), np.uint8), st.integers(1, 9), st.integers(1, 9))


def or_odd(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what is usual, so that the other arguments are reached."""
    return st.one_of(usual, usual, anything)


def just(*values: Any) -> st.SearchStrategy[Any]:
    """One of these, or anything."""
    return or_odd(st.sampled_from(values))


#: What is called, with what.
DOORS: dict[str, tuple[Callable[..., Any], dict[str, st.SearchStrategy[Any]]]] = {
    "predict": (
        lambda **given: MODEL.predict(**given),
        {
            "images": or_odd(images),
            "min_score": just(0.1),
            "batch_size": just(1),
            "person_score": just(0.5),
            "link": just(True),
            "min_link": just(0.5),
            "bgr": just(False),
        },
    ),
    "predict people": (
        lambda **given: TOPDOWN.predict(**given),
        {"images": or_odd(images), "boxes": or_odd(st.just([[[1, 1, 5, 5]]]))},
    ),
    "predict_stream": (
        lambda **given: list(MODEL.predict_stream(**given)),
        {"images": or_odd(images), "boxes": just(None), "options": just(None, m.PredictOptions())},
    ),
    "model": (lambda **given: MODEL(**given), {"images": anything, "view": just("image", "person", None)}),
    "options": (m.PredictOptions, {"part_score": anything, "batch_size": just(3), "link": just(True)}),
    "load": (m.load, {"path": anything, "tasks": just(None, ["det"]), "settings": just(None, {})}),
    "load own": (
        m.load,
        {
            "path": st.just("model.safetensors"),
            "tasks": just(None, ["det"]),
            "settings": just(None, {"det": {}}),
        },
    ),
    "save": (m.save, {"model": just(MODEL), "path": just("out.safetensors"), "extra": just(None, {"a": 1})}),
    "convert": (
        m.convert,
        {"source": anything, "base": just(None), "dataset": just(None), "image_size": just(None, (32, 32))},
    ),
    "build": (
        m.build,
        {
            "backbone": just("test_vit", MODEL.backbone),
            "tasks": just(["det"], {"det": {"queries": 3}}),
            "categories": just(CATEGORIES),
            "canvas": just((32, 32)),
            "person_canvas": just((32, 32)),
            "queries": just("task", "instance"),
        },
    ),
    "create_backbone": (
        m.create_backbone,
        {
            "name": just("test_vit"),
            "canvas": just((32, 32)),
            "pretrained": just(False),
            "options": just(None, {"depth": 1}),
        },
    ),
    "add_tasks": (m.add_tasks, {"model": just(TOPDOWN), "tasks": just(["det"], {"det": {"queries": 2}})}),
    "with_categories": (m.with_categories, {"model": just(MODEL), "categories": just(CATEGORIES)}),
    "cut_out": (m.cut_out, {"model": just(MODEL), "genome": just(m.Genome.parse("8: 1x4"))}),
    "calibrate": (m.calibrate, {"model": just(MODEL), "batches": just(())}),
    "with_fewer_tokens": (
        m.with_fewer_tokens,
        {
            "model": just(MODEL),
            "after": just(1),
            "keep": just(0.5),
            "images": just([torch.zeros(3, 8, 8, dtype=torch.uint8)]),
        },
    ),
    "export": (
        lambda **given: m.export(**given),
        {"model": anything, "view": just("image"), "images": just(1)},
    ),
    "find_images": (m.find_images, {"paths": anything}),
    "read_image": (m.read_image, {"path": anything, "max_pixels": just(10**6)}),
    "image_size": (m.image_size, {"path": anything, "max_pixels": just(10**6)}),
    "predict_video": (lambda **given: list(m.predict_video(MODEL, **given)), {"video": anything}),
    "encode_rle": (m.encode_rle, {"mask": anything}),
    "decode_rle": (m.decode_rle, {"rle": anything}),
    "rle": (lambda **given: m.decode_rle(m.Rle(**given)), {"size": just((2, 2)), "counts": just("4", "13")}),
    "draw_instances": (
        m.draw_instances,
        {
            "image": or_odd(st.just(torch.zeros(3, 20, 30, dtype=torch.uint8))),
            "instances": just(FOUND.instances),
            "min_keypoint_score": just(0.3),
            "by_object": just(False),
        },
    ),
    "draw_annotations": (
        m.draw_annotations,
        {
            "image": or_odd(st.just(torch.zeros(3, 20, 30, dtype=torch.uint8))),
            "annotations": anything,
            "categories": just(CATEGORIES),
        },
    ),
    "push": (
        lambda **given: MODEL.push_to_hub(**given),
        {"repo_id": anything, "about": just(None, m.About()), "private": just(False), "token": just(None)},
    ),
    "about": (
        m.About,
        {"licence": just("mit"), "data": just(""), "metrics": just({"det/AP": 0.5}), "base": just("")},
    ),
    "draw_map": (m.draw_map, {"values": anything, "image": just(None)}),
    "contact_sheet": (
        m.contact_sheet,
        {"pictures": or_odd(st.lists(pictures, max_size=2)), "columns": just(2), "captions": just(())},
    ),
    "category": (m.Category, {"id": just(1), "name": just("cat"), "keypoints": just(None, m.COCO_PERSON)}),
    "categories": (m.Categories, {"items": just((m.Category(1, "cat"),))}),
    "categories from_json": (m.Categories.from_json, {"data": anything}),
    "schema": (
        m.KeypointSchema,
        {
            "names": just(("a", "b")),
            "skeleton": just(((0, 1),)),
            "flip_pairs": just(((0, 1),)),
            "sigmas": just((0.1, 0.2)),
        },
    ),
    "schema from_json": (m.KeypointSchema.from_json, {"data": anything}),
    "result[]": (lambda rows: FOUND[rows], {"rows": anything}),
    "result.above": (lambda score: FOUND.above(score), {"score": anything}),
    "result.of": (lambda task: FOUND.of(task), {"task": anything}),
    "result.plot": (
        lambda image: FOUND.plot(image),
        {"image": or_odd(st.just(np.zeros((20, 30, 3), np.uint8)))},
    ),
}
#: Doors whose values may be taken as an index is: beyond the end.
INDEX = {"result[]", "categories"}


class Failures:
    """What went wrong, once for each door and place, with the shortest arguments seen."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], str] = {}

    def add(self, door: str, what: str, drawn: dict[str, Any]) -> None:
        shown = " ".join(" ".join(f"{key}={value!r:.100}" for key, value in drawn.items()).split())
        key = (door, what.partition(":")[0] + what.rpartition(" at ")[2])
        if len(shown) < len(self._found.get(key, "x" * 10_000)):
            self._found[key] = f"{door}: {what} for {shown}"

    def lines(self) -> list[str]:
        return list(self._found.values())


def knock(door: str, examples: int, failures: Failures) -> None:
    """Call one door so many times."""
    call, arguments = DOORS[door]

    def hold(drawn: dict[str, Any]) -> None:
        what = ending(call, drawn, door in INDEX)
        if what:
            failures.add(door, what, drawn)

    done = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    seed(len(door))(done(given(st.fixed_dictionaries(arguments))(hold)))()


def ending(call: Callable[..., Any], drawn: dict[str, Any], indexed: bool) -> str:
    """Say what is wrong with how a call ends; nothing, where it ends with a result or one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(**drawn)
    except m.MtvitError as error:
        if "\n" in str(error) or len(str(error)) > 1000:
            return f"no short line: {str(error)[:300]!r}"
    except Exception as error:
        if indexed and isinstance(error, IndexError):
            return ""
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/mtvit" in frame.filename]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        return f"{type(error).__name__}: {str(error)[:120]!r} at {place}"
    return ""


def main(examples: int) -> int:
    """Call all doors so many times together; print what went wrong."""
    failures = Failures()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        m.save(MODEL, "model.safetensors")
        for door in DOORS:
            knock(door, max(1, examples // len(DOORS)), failures)
        os.chdir("/")
    sys.stdout.write("".join(f"{line}\n" for line in failures.lines()))
    return 1 if failures.lines() else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
