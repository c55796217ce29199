"""Published EoMT checkpoints."""
