"""Commands that hand models to the hub."""
