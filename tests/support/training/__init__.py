"""Runs and their data."""
