"""Checks of a data set before training; they repair nothing."""
