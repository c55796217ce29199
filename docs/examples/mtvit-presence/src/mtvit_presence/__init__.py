"""Presence: which categories an image shows, from the patches of mtvit's backbone."""
