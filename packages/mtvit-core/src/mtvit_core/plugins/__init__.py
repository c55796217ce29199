"""Hooks, discovery and validation of plugins, and the extension points of the trainer."""
