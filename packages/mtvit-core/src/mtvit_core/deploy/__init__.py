"""The model as a program."""
