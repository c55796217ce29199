"""What is said of one image as a whole: linked, shown and written."""
