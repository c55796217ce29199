"""Labels of whole images, a format per file."""
