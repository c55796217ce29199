"""Data sets of dense labels without objects."""
