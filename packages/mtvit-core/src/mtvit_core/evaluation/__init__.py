"""Evaluators and what they report."""
