"""Tasks that share some layers of the backbone and own others."""
