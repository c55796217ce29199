"""Tiny folders in the exact form in which tools and sets of the field write them, with two splits or one."""
