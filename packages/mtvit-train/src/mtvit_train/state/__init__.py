"""What a checkpoint holds, on disk."""
