"""From predictions to masks."""
