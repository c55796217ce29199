"""The search of the candidate of a supernet that serves all tasks best within limits."""
