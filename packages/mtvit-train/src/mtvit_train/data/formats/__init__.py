"""Data formats, one per file."""
