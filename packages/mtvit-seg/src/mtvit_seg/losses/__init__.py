"""What segmentation learns from: targets, matching cost, losses."""
