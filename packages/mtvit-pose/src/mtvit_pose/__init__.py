"""Pose for mtvit: one-pass people and keypoints, and ViTPose and TokenPose on person crops."""
