"""Our own backbones keep what the test kit asks of every author."""

from mtvit_core.testing import BackboneSuite


class TestViT(BackboneSuite):
    """Class token and learned positions."""

    backbone = "vit_tiny_patch16_224"
    options = {"patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 3, "drop_path_rate": 0.2}


class TestDINOv3(BackboneSuite):
    """Rotary positions and registers."""

    backbone = "vit_small_patch16_dinov3"
    options = {"depth": 3, "embed_dim": 48, "num_heads": 3}
    canvas = (96, 128)


class TestPositionsBetween(BackboneSuite):
    """Positions before every block, as YOLOS has them."""

    backbone = "vit_tiny_patch16_224"
    options = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "positions_between": True}


class TestBranchedShared(BackboneSuite):
    """Every task shares every layer."""

    backbone = "branched:vit_tiny_patch16_224"
    options = {**TestViT.options, "tasks": "a,b", "gates": "shared"}


class TestCrossViT(BackboneSuite):
    """Two branches whose class tokens exchange; tasks read the large patches."""

    backbone = "crossvit:custom"
    options = {"widths": [24, 36], "depths": [1, 2], "stages": 2, "stem": "convs", "drop_path_rate": 0.2}


class TestCrossViTPatches(BackboneSuite):
    """All tokens exchange; tasks read the sum of both branches at the small patches."""

    backbone = "crossvit:custom"
    options = {
        "patches": [12, 16],
        "widths": [24, 36],
        "depths": [2, 1],
        "stages": 1,
        "exchange": "patches",
        "read": "small",
        "join": True,
    }
    canvas = (48, 96)


class TestCutOut(BackboneSuite):
    """A network that was cut out of a supernet: narrower than its tokens, with an absent block."""

    backbone = "vit_tiny_patch16_224"
    options = {
        "depth": 4,
        "embed_dim": 48,
        "num_heads": 3,
        "drop_path_rate": 0.1,
        "width": 40,
        "block_heads": [2, 0, 3, 1],
        "block_ratios": [4, 0, 3, 3.5],
        "token_width": 48,
    }
    exceptions = {"entry": "the context before and after an absent block is the same"}


class TestElastic(BackboneSuite):
    """A supernet, as its largest network."""

    backbone = "elastic:vit_tiny_patch16_224"
    options = {"depth": 3, "embed_dim": 48, "num_heads": 3, "widths": [32, 48], "depths": [2, 3]}


class TestMvt(BackboneSuite):
    """One window, the gate told by attention; each block of its own shape, one absent; wider tokens."""

    backbone = "mvt:custom"
    options = {
        "width": 24,
        "block_heads": [1, 2, 0, 1],
        "block_ratios": [2.0, 1.5, 1.0, 2.0],
        "drop_path_rate": 0.2,
        "token_width": 32,
    }
    exceptions = {"entry": "nothing changes in a block that is absent"}


class TestMvtWindows(BackboneSuite):
    """Windows that the map does not fill, which convolutions join; the gate told by the input."""

    backbone = "mvt:custom"
    options = {
        "width": 24,
        "block_heads": [1, 2],
        "block_ratios": [2.0, 1.5],
        "se": "input",
        "window": 3,
        "aggregate": [1],
    }
