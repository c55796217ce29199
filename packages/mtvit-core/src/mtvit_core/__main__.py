"""``python -m mtvit_core`` is ``mtvit``."""

from mtvit_core.cli import main

main(prog_name="mtvit")
