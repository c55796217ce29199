"""Matching, and losses that tasks share."""
