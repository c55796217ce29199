"""Documents in COCO's form: as files hold them, and what sets of the field write otherwise."""
