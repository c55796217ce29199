"""What a plugin can bring to the trainer beside tasks: a reader, a transform, a weighting."""
