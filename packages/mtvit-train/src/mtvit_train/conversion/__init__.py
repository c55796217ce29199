"""Data sets and predictions written as COCO data sets."""
