"""Segmentation for mtvit: masks and classes from query tokens."""
