"""One task for each dense label."""
