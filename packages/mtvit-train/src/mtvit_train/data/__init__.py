"""Data: COCO annotation files, packed annotations, samples on a canvas, and the order in which they come."""
