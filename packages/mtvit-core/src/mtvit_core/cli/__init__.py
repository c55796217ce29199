"""The command ``mtvit``, one file per command."""
