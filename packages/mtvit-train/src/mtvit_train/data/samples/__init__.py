"""Images, labels and person crops on a canvas."""
