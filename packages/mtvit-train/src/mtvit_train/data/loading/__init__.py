"""Order and delivery of samples."""
