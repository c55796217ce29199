"""Data sets that tools write in another form than COCO's, one form per file: each becomes a COCO document."""
