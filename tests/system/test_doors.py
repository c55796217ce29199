"""Public functions that users call, with values of any kind: a result, or one line that says why not."""

import inspect
import subprocess
import sys

import pytest

import mtvit_core
from support.commands.processes import ENVIRONMENT

#: Examples of the fast run and of the slow one, of all functions together.
FEW, MANY = 300, 20_000
#: Public names of functions that plugins call with tensors of their own; their shapes are checked in tests.
FOR_PLUGINS = {
    "annotated_classes",
    "cxcywh_to_xyxy",
    "denoising_losses",
    "image_generators",
    "noised_boxes",
    "noised_weight",
    "perfect_logits",
    "perfect_rows",
    "picked_group",
    "proposal_loss",
    "shared_count",
    "sigmoid_focal",
    "xyxy_to_cxcywh",
}
#: The others, each of which the worker calls; two take no value that could be odd.
FOR_USERS = {
    "add_tasks",
    "build",
    "calibrate",
    "contact_sheet",
    "convert",
    "create_backbone",
    "cut_out",
    "decode_rle",
    "draw_annotations",
    "draw_instances",
    "draw_map",
    "encode_rle",
    "export",
    "find_images",
    "image_size",
    "installed_tasks",
    "load",
    "predict_video",
    "read_image",
    "save",
    "with_categories",
    "with_fewer_tokens",
}


def knock(examples: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "workers.door_worker", str(examples)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=1200,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr[-2000:]


def test_values_of_every_kind() -> None:
    knock(FEW)


@pytest.mark.slow
def test_many_values_of_every_kind() -> None:
    knock(MANY)


def test_every_public_function_is_on_one_of_the_lists() -> None:
    public = {name for name in dir(mtvit_core) if inspect.isfunction(getattr(mtvit_core, name))}
    assert public == FOR_PLUGINS | FOR_USERS
