"""Images in, results out, for anything that answers."""
