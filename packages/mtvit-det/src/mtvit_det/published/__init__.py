"""Published YOLOS checkpoints."""
