"""From names and files to a model."""
