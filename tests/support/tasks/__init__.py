"""Heads, losses and scores of the tasks."""
