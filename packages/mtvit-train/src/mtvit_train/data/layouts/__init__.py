"""Layouts in which tools export data in COCO's form, one per file, and the finding of them."""
