"""Poses on crops of one person: ViTPose and TokenPose."""
