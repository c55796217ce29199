"""Checkpoints that others published, as models of ours: every weight accounted for, nothing executed."""
