"""Spots: boxes of objects, from learned queries of mtvit's backbone."""
