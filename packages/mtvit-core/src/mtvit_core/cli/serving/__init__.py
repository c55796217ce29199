"""The command that serves a model."""
