"""What frozen features are worth: nearest neighbours, linear probes, rank, pictures."""
