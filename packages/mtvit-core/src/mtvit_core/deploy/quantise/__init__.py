"""Products in whole numbers of eight bits."""
