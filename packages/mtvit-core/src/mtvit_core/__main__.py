"""``python -m mtvit_core`` is ``mtvit``."""

from mtvit_core.cli.main import main

main(prog_name="mtvit")
