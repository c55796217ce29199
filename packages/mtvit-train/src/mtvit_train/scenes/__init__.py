"""Scenes: the built-in procedural data set of shapes and people, exactly labelled."""
