"""The balance of losses."""
