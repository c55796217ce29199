"""Commands, processes and installed packages."""
