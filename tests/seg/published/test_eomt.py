"""Published EoMT checkpoints give the outputs of transformers' models; what is wrong with one is said."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

import mtvit_core
from mtvit_core.errors import ConfigError
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.structures.framing import Letterbox
from mtvit_seg.published.coco_panoptic import COCO_PANOPTIC, COCO_STUFF
from support.tasks.eomt_cases import KINDS, SIDE, compare, eomt
from support.tasks.published_cases import complaint, off, saved


@pytest.mark.parametrize("kind", KINDS)
def test_outputs(tmp_path: Path, kind: str) -> None:
    theirs = eomt(kind)
    ours = mtvit_core.load(saved(theirs, tmp_path / "eomt"))
    assert torch.equal(ours.modules_of("seg").head.attn_mask_probs, theirs.attn_mask_probs)
    assert compare(theirs, ours) < 1e-4
    assert ours.framing == Letterbox(SIDE, SIDE)


def test_rotary_positions_fit_any_size(tmp_path: Path) -> None:
    theirs = eomt("eomt_dinov3")
    ours = mtvit_core.load(saved(theirs, tmp_path / "eomt"))
    assert compare(theirs, ours, (96, 96)) < 1e-4
    assert compare(theirs, ours, (48, 80)) < 1e-4


@pytest.mark.parametrize("size", [(128, 128), (48, 48), (96, 64)])
def test_positions_at_another_size(tmp_path: Path, size: tuple[int, int]) -> None:
    """The source has no rule of its own; its table is resized as its backbone was: bicubic, antialiased."""
    theirs = eomt()
    folder = saved(theirs, tmp_path / "eomt")
    table = theirs.embeddings.position_embeddings.weight.detach()
    grid, old = (size[0] // 16, size[1] // 16), SIDE // 16
    maps = table.T.reshape(1, -1, old, old)
    resized = F.interpolate(maps, grid, mode="bicubic", antialias=True, align_corners=False)
    resized = resized.flatten(2)[0].T
    with torch.no_grad():
        images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        for ours in (mtvit_core.load(folder), mtvit_core.convert(folder, image_size=size)):
            vit, pixels = ours.backbone.vit, ours.backbone.normalise(images)
            context = vit._pos_embed(vit.patch_embed(pixels))
            patches = theirs.embeddings.patch_embeddings(pixels)
            torch.testing.assert_close(context[:, 5:], patches + resized, atol=1e-5, rtol=1e-5)
    assert ours.backbone.spec.canvas == size
    assert ours.framing == Letterbox(*size)


def test_the_names_that_gated_layers_had(tmp_path: Path) -> None:
    theirs = eomt("eomt with SwiGLU")
    path = saved(theirs, tmp_path / "eomt") / "model.safetensors"
    weights = load_file(path)
    for i in range(4):
        for kind in ("weight", "bias"):
            own = f"layers.{i}.mlp."
            parts = [weights.pop(f"{own}{name}_proj.{kind}") for name in ("gate", "up")]
            weights[f"{own}weights_in.{kind}"] = torch.cat(parts)
            weights[f"{own}weights_out.{kind}"] = weights.pop(f"{own}down_proj.{kind}")
    save_file(weights, path)
    assert compare(theirs, mtvit_core.load(tmp_path / "eomt")) < 1e-4


def test_transformers_goes_on_with_an_old_mask(tmp_path: Path) -> None:
    """After a block that masks, transformers masks later ones too; the authors' code does not, nor ours."""
    theirs = eomt(num_blocks=2)
    ours = mtvit_core.load(saved(theirs, tmp_path / "eomt"))
    images = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)

    def expected(*probabilities: float) -> Tensor:
        theirs.attn_mask_probs.copy_(torch.tensor(probabilities))
        with torch.no_grad():
            return theirs(ours.backbone.normalise(images)).class_queries_logits

    stale, never = expected(1, 0), expected(0, 0)
    with torch.no_grad():
        found = ours(images)["seg"].logits[0]
        ours.modules_of("seg").head.attn_mask_probs.copy_(torch.tensor([1.0, 0.0]))
        assert off(found, never) < 1e-4
        assert off(ours(images)["seg"].logits[0], never) < 1e-4
        masked = ours.train()(images)["seg"].logits[-1]  # in training the first block alone masks
    assert off(stale, never) > 1e-3
    assert off(masked, never) > 1e-3
    assert off(masked, stale) > 1e-3


def test_categories(tmp_path: Path) -> None:
    assert len(COCO_PANOPTIC) == 133
    assert len(COCO_STUFF) == 53
    assert [c.id for c in COCO_PANOPTIC] == sorted(c.id for c in COCO_PANOPTIC)
    assert COCO_PANOPTIC[132].name == "rug-merged"
    for labels, expected in ((80, COCO_CATEGORIES), (133, COCO_PANOPTIC)):
        ours = mtvit_core.load(saved(eomt(num_labels=labels), tmp_path / str(labels)))
        assert ours.categories == expected
        assert ours.task_list[0].config.stuff == (COCO_STUFF if labels == 133 else ())
    folder = tmp_path / "133"
    config = json.loads((folder / "config.json").read_text())
    names = {str(i): category.name for i, category in enumerate(COCO_PANOPTIC)}
    (folder / "config.json").write_text(json.dumps(config | {"id2label": names}))
    assert mtvit_core.load(folder).categories == COCO_PANOPTIC
    (folder / "config.json").write_text(json.dumps(config | {"id2label": names | {"0": "wall"}}))
    assert [(c.id, c.name) for c in mtvit_core.load(folder).categories][:2] == [(0, "wall"), (1, "bicycle")]


def test_settings_of_the_loss(tmp_path: Path) -> None:
    theirs = eomt(no_object_weight=0.2, class_weight=3.0, train_num_points=99)
    config = mtvit_core.load(saved(theirs, tmp_path / "eomt")).task_list[0].config
    assert (config.no_object, config.points) == (0.2, 99)
    assert config.cost_class == config.loss_class == 3.0
    assert (config.blocks, config.queries, config.oversample) == (3, 9, 3.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_after_saving(tmp_path: Path, kind: str) -> None:
    ours = mtvit_core.load(saved(eomt(kind), tmp_path / "eomt"))
    mtvit_core.save(ours, tmp_path / "model.safetensors")
    again = mtvit_core.load(tmp_path / "model.safetensors")
    for size in ((SIDE, SIDE), (96, 48)):
        images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        with torch.no_grad():
            a, b = ours(images)["seg"], again(images)["seg"]
        assert torch.equal(a.logits, b.logits)
        assert torch.equal(a.mask_logits, b.mask_logits)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_do_not_fit(tmp_path: Path, kind: str) -> None:
    folder = saved(eomt(kind), tmp_path / "eomt")
    whole = load_file(folder / "model.safetensors")

    def refused(**changes: Tensor | None) -> str:
        weights = {k: v for k, v in (whole | changes).items() if v is not None}
        save_file(weights, folder / "model.safetensors")
        text = complaint(lambda: mtvit_core.load(folder))
        assert text.startswith(f"source {folder}: its weights are not those of EoMT")
        return text.partition("(transformers): ")[2]

    assert refused(**{"layers.2.norm1.bias": None}) == "missing: layers.2.norm1.bias."
    assert refused(**{"layers.4.norm1.bias": torch.zeros(64)}) == "unexpected: layers.4.norm1.bias."
    assert refused(**{"mask_head.fc2.weight": torch.zeros(64, 63)}) == (
        "of another shape: mask_head.fc2.weight is (64, 63) instead of (64, 64)."
    )


def test_settings_that_cannot_be_followed(tmp_path: Path) -> None:
    folder = saved(eomt("eomt_dinov3"), tmp_path / "eomt")
    config = json.loads((folder / "config.json").read_text())
    for change, found, allowed in (
        ({"key_bias": True}, "key_bias True", "False"),
        ({"use_gated_mlp": True}, "use_gated_mlp True", "False"),
        ({"patch_size": 14}, "patch_size 14", "16"),
        ({"pos_embed_jitter": 2.0}, "pos_embed_jitter 2.0", "None"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        assert complaint(lambda: mtvit_core.load(folder)) == (
            f"source {folder}: its config.json has {found}; only {allowed} is known here."
        )


def test_an_image_size_that_does_not_fit(tmp_path: Path) -> None:
    folder = saved(eomt(), tmp_path / "eomt")
    assert complaint(lambda: mtvit_core.convert(folder, image_size=(100, 100)), ConfigError) == (
        "canvas: 100 x 100 pixels is not a multiple of the patch, 16 x 16; the nearest that fits is 96 x 96."
    )


SIZES: dict[str, dict[str, Any]] = {
    "S": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "num_blocks": 3},
    "B": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "num_blocks": 3},
    "L": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "num_blocks": 4},
    "g": {"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24, "num_blocks": 5},
}
MEASURE = """
import re, sys
from pathlib import Path
from mtvit_core.model.checkpoint import save
from mtvit_core.model.convert import convert

def peak():
    # Of this program alone: getrusage tells the peak of the one that started it, where that is higher.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

before = peak()
model = convert(sys.argv[1])
save(model, sys.argv[2])
size = sum(value.nbytes for value in model.state_dict().values())
print((peak() - before - size) / size)
"""


@pytest.mark.slow
def test_memory_of_converting_the_largest(tmp_path: Path, record_property: Any) -> None:
    """Beyond the model itself, converting and saving need at most 1.2 times the size of the weights."""
    settings = {**SIZES["g"], "image_size": 640, "num_queries": 200, "num_labels": 133}
    folder = saved(eomt("eomt with SwiGLU", **settings), tmp_path / "eomt")
    command = [sys.executable, "-c", MEASURE, str(folder), str(tmp_path / "model.safetensors")]
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a program's memory is read from /proc, which only Linux has")
    share = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    record_property("memory beyond the model, in sizes of the weights", share)
    assert 0 <= share <= 1.2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["eomt", "eomt_dinov3"])
@pytest.mark.parametrize("size", SIZES)
def test_full_sizes(tmp_path: Path, size: str, kind: str, record_property: Any) -> None:
    if size == "g" and kind == "eomt_dinov3":
        pytest.skip("no such model was published")
    settings = {**SIZES[size], "image_size": 640, "num_queries": 200, "num_labels": 133}
    theirs = eomt("eomt with SwiGLU" if size == "g" else kind, **settings)
    ours = mtvit_core.load(saved(theirs, tmp_path / "eomt"))
    worst = compare(theirs, ours, (640, 640))
    record_property(f"{kind} {size}: largest relative difference", worst)
    assert worst < 1e-4
