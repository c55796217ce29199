"""What scores dense maps."""
