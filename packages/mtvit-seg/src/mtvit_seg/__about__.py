"""The version of this package; all five packages share it."""

__version__ = "0.1.0"
