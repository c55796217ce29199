"""What travels through a model: images' annotations and results, boxes, masks, keypoints, categories."""
