"""Backbones from images without labels."""
