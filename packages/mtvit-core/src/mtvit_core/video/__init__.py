"""Videos and cameras: their frames, what a model finds in them, and who is who from frame to frame."""
