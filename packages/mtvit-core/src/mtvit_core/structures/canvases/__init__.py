"""How images and crops come onto canvases."""
