"""``mtvit-train scenes``: write generated scenes as ordinary COCO files."""

from pathlib import Path

import click


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to create.")
@click.option("--train", default=2000, show_default=True, help="Training images.")
@click.option("--val", default=200, show_default=True, help="Validation images.")
@click.option("--seed", default=0, show_default=True, help="Seed of the generator.")
@click.option("--size", default=128, show_default=True, help="Side of the images in pixels, 64 to 1024.")
@click.option(
    "--workers", default=0, show_default=True, help="Rendering processes; any number gives the same files."
)
def scenes(out: Path, train: int, val: int, seed: int, size: int, workers: int) -> None:
    """Write generated scenes as a COCO dataset: boxes, masks and keypoints."""
    from mtvit_train.scenes.writer import write_scenes

    write_scenes(out, train=train, val=val, seed=seed, size=size, workers=workers)
    click.echo(f"{train} training and {val} validation scenes are in {out}.")
