"""The version of this package; all packages of mtvit share it."""

__version__ = "0.1.0"
