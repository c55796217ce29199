"""One update, one evaluation."""
