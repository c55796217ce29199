"""Dense tasks for mtvit: semantic classes, depth, surface normals and edges of every pixel."""
