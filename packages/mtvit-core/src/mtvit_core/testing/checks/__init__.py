"""The checks of the test kit, one promise of the task contract per file."""
