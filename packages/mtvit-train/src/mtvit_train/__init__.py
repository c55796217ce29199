"""The trainer of mtvit."""
