"""What several tasks of a model share."""
