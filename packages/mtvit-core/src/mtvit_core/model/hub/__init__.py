"""A model on the hub: its card, and how it gets there."""
