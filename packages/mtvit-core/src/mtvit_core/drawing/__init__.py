"""Results and labels as pictures."""
