"""Settings of small runs of det, seg and pose, and the command that starts them."""

from click.testing import CliRunner, Result

from mtvit_train.cli.main import main

SMALL = [
    "model.backbone=vit_tiny_patch16_224",
    "model.options={patch_size=16, embed_dim=24, depth=2, num_heads=2}",
    "model.image_size=[64, 64]",
    "train.batch_size=2",
    "train.log_every=2",
    "train.threads=1",
    "train.precision=fp32",
    "tasks.det.queries=6",
    "tasks.seg.queries=6",
    "tasks.pose.queries=4",
]
SMALL_FILE = """
plugins = ["det", "seg", "pose"]
[model]
backbone = "vit_tiny_patch16_224"
options = { patch_size = 16, embed_dim = 24, depth = 2, num_heads = 2 }
image_size = [64, 64]
[train]
batch_size = 4
threads = 1
precision = "fp32"
[tasks.det]
queries = 6
[tasks.seg]
queries = 6
[tasks.pose]
queries = 4
"""


def train(*arguments: str, settings: list[str] = SMALL) -> Result:
    """Run the command in this process, with settings."""
    sets = [part for setting in settings for part in ("--set", setting)]
    return CliRunner().invoke(main, [*arguments, *sets])
