"""Scores of maps: a segment, or a class, for every pixel."""
