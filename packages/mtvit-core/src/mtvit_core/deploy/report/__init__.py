"""Whether an exported model does what its model does, and what it costs."""
