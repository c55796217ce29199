"""Poses of everybody in one pass over the whole image."""
