"""The command ``mtvit-train``, one file per command."""
