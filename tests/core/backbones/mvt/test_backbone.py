"""ViT-MVT's network with queries beside its map."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mtvit_core.backbones.interface import GRID, Backbone, Option
from mtvit_core.backbones.known_context import known_depths
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup, Visibility
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.testing.backbone_case import BackboneCase, tensors

PLAIN: dict[str, Option] = {"width": 48, "block_heads": [2, 1, 2], "block_ratios": [2.0, 1.5, 2.0]}
WINDOWS: dict[str, Option] = {**PLAIN, "window": 3, "aggregate": [0, 2], "se": "input"}
CANVAS = (80, 112)


def make(options: dict[str, Option], canvas: tuple[int, int] = CANVAS) -> Backbone:
    """A backbone with weights that are all random."""
    return BackboneCase("mvt:custom", options, canvas).stirred()


def group(name: str, count: int, enter: int, see: Visibility = "isolated") -> TokenGroup:
    """Learned queries that are read at every depth."""
    torch.manual_seed(ord(name))
    source = LearnedQueries(count, 48, std=1.0)
    return TokenGroup(name, count, enter, source, see, tuple(range(enter, 4)))


def images(count: int = 2) -> Tensor:
    return torch.randint(0, 256, (count, 3, *CANVAS), dtype=torch.uint8)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", [PLAIN, WINDOWS], ids=["one window", "windows"])
def test_isolated_groups_change_no_bit_of_map_and_others(options: dict[str, Option], training: bool) -> None:
    backbone, canvas = make({**options, "drop_path_rate": 0.3}).train(training), images()
    groups = [group("a", 60, 0), group("b", 17, 2), group("j", 5, 1, "joint"), group("c", 1, 1)]
    with torch.set_grad_enabled(training):
        torch.manual_seed(0)
        together = tensors(backbone(canvas, groups))
        for kept in (groups[1:], groups[:1] + groups[2:], groups[2:3], groups[::-1], [groups[3], groups[2]]):
            torch.manual_seed(0)
            for name, value in tensors(backbone(canvas, kept)).items():
                assert torch.equal(value, together[name]), name
        torch.manual_seed(0)
        alone = tensors(backbone(canvas, groups[:2]))
        torch.manual_seed(0)
        for name, value in tensors(backbone(canvas)).items():
            assert torch.equal(value, alone[name]), name


@torch.no_grad()
def test_windows_see_a_joint_group_and_no_other_window() -> None:
    backbone, canvas = make({**PLAIN, "window": 3, "block_heads": [0, 0, 2], "se": "none"}), images(1)
    block = backbone.blocks()[2]
    for look in (block.look, block.look_inside):
        torch.nn.init.zeros_(look.conv.weight)
    known = dict(backbone.context(canvas, (2,)))
    changed = {2: known[2].clone()}
    changed[2][:, 0, 0] += 5  # the patch in the upper left corner, of a map of 5 x 7
    joint = [group("j", 2, 2, "joint")]
    for groups in ([], joint):
        before, after = (backbone.forward_known(one, CANVAS, groups).last for one in (known, changed))
        moved = (before.patches - after.patches).abs().amax(1)[0] > 1e-6
        assert moved[:3, :3].all()
        assert not moved[3:].any()
        assert not moved[:, 3:].any()
    alone, beside = (backbone.forward_known(known, CANVAS, groups).last.patches for groups in ([], joint))
    assert ((alone - beside).abs().amax(1) > 1e-4).all()
    queries = [backbone.forward_known(one, CANVAS, joint).last.queries["j"] for one in (known, changed)]
    assert (queries[0] - queries[1]).abs().max() > 1e-5


@pytest.mark.parametrize("patches", [True, False])
@pytest.mark.parametrize("options", [PLAIN, WINDOWS], ids=["one window", "windows"])
@torch.no_grad()
def test_a_known_context_gives_the_same_bits(options: dict[str, Option], patches: bool) -> None:
    backbone, canvas = make(options), images()
    groups = [group("a", 9, 1), group("b", 4, 2), group("j", 3, 2, "joint")]
    for frozen in (1, 2, 3):
        for seen in (groups, groups[:2]):
            known = backbone.context(canvas, known_depths(seen, 3, frozen, patches))
            whole = tensors(backbone(canvas, seen, patches=patches))
            late = tensors(backbone.forward_known(known, CANVAS, seen, patches=patches))
            assert all(torch.equal(value, late[name]) for name, value in whole.items())


def test_recomputed_blocks_count_each_batch_once() -> None:
    counted = []
    for checkpointing in (False, True):
        backbone = make(WINDOWS).train()
        backbone.checkpointing = checkpointing
        torch.manual_seed(1)
        backbone(images()).last.patches.square().mean().backward()
        counted.append({k: v for k, v in backbone.state_dict().items() if "running" in k or "tracked" in k})
    assert len(counted[0]) == 3 * (3 + 2 * 2)
    assert all(torch.equal(value, counted[1][key]) for key, value in counted[0].items())


@torch.no_grad()
def test_a_block_that_is_absent_passes_tokens_on() -> None:
    backbone = make({**PLAIN, "block_heads": [2, 0, 2]})
    known = backbone.context(images(), (1, 2))
    assert torch.equal(known[1], known[2])
    assert [sum(1 for _ in block.parameters()) > 0 for block in backbone.blocks()] == [True, False, True]
    assert not any(backbone.depth_of(name) == 2 for name, _ in backbone.named_parameters())


def test_tables_of_positions_do_not_decay() -> None:
    backbone = make(WINDOWS)
    matrices = [name for name, value in backbone.named_parameters() if value.ndim > 1]
    assert {name for name in matrices if not backbone.decays(name)} == {
        "positions",
        *(f"layers.{i}.attention.table" for i in range(3)),
    }


def test_heads_for_tasks_fit_the_width_that_tasks_see() -> None:
    for model, heads in (("tiny", 3), ("small", 6), ("base", 9)):
        spec = create_backbone(f"mvt:{model}", (64, 64)).spec
        assert (spec.heads, spec.width % spec.heads, spec.class_tokens) == (heads, 0, ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_heads": [3]}, "block_heads are those of 1 blocks, block_ratios of 12"),
        ({"block_heads": [0] * 12}, "block_heads are numbers from 0, and one block at least has some"),
        ({"block_ratios": [0.001] * 12}, "a ratio of 0.001 leaves no hidden width"),
        ({"aggregate": [12]}, r"aggregate is \[12\]; give blocks that are there \(0 to 11\) once each"),
        ({"token_width": 100}, "a token_width of 100 is less than the width, 192"),
        ({"se": "both"}, "'attention', 'input' or 'none'"),
    ],
)
def test_odd_options_are_refused(options: dict[str, Option], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_backbone("mvt:custom", (64, 64), options=options)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no such model.* Did you mean 'tiny'\?"):
        create_backbone("mvt:tinny", (64, 64))


@torch.no_grad()
def test_own_weights_fit_another_canvas(tmp_path: Path) -> None:
    backbone, path = make(PLAIN), tmp_path / "own.safetensors"
    save_file(backbone.weights(), path, {GRID: "5 7"})
    other = create_backbone("mvt:custom", (112, 80), path, PLAIN).eval()
    canvas = images().transpose(2, 3)
    torch.testing.assert_close(backbone(canvas).last.patches, other(canvas).last.patches)
