"""``python -m mtvit_train`` is ``mtvit-train``."""

from mtvit_train.cli.main import main

main(prog_name="mtvit-train")
