"""Presence: which categories does an image show? A task plugin for mtvit."""
