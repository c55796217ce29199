"""Numbers and pictures that a run leaves."""
