"""Classification of whole images on the backbone that all tasks share, and readers of its data."""
