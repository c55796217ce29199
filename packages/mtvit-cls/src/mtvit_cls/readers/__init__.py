"""Readers of data sets whose images have classes, a layout per file."""
