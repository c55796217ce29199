"""Optimiser, learning rate and averaged weights."""
