"""What runs exported models."""
