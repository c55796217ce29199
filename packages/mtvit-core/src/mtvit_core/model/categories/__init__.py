"""A model for other categories than those it was trained for."""
