"""Modules that heads are built from."""
