"""What a backbone is, and what enters and leaves it."""
