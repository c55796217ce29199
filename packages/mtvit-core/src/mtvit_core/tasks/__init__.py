"""The task contract, and queries that tasks share."""
