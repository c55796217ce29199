from mtvit_core.testing import BackboneSuite
class TestPlain(BackboneSuite):
    backbone = "vit_tiny_patch16_224"
    options = {"patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 3}
class TestDino3(BackboneSuite):
    backbone = "vit_small_patch16_dinov3"
    options = {"depth": 3, "embed_dim": 48, "num_heads": 3}
    canvas = (96, 128)
