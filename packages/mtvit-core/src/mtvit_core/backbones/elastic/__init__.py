"""Backbones whose width, heads, feed-forward parts and depth can be chosen after training."""
