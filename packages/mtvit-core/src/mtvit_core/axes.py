"""The letters that name tensor axes everywhere in mtvit; a test holds every annotation to this list."""

AXES: dict[str, str] = {
    "B": "images of a batch",
    "H": "rows of pixels",
    "W": "columns of pixels",
    "h": "rows of patches, or of another coarse grid",
    "w": "columns of patches, or of another coarse grid",
    "N": "patches of one image, h * w",
    "R": "prefix tokens: class token and registers",
    "S": "tokens of one sequence",
    "Q": "query tokens of one group",
    "D": "width of a token",
    "A": "attention heads",
    "d": "width of one attention head, D / A",
    "O": "outputs of a layer",
    "L": "supervised layers",
    "C": "classes",
    "K": "keypoints of one object",
    "M": "ground-truth instances, padded to the most of a batch",
    "T": "ground-truth instances of a batch, its images end to end",
    "I": "images of a data set",
    "P": "points sampled from a mask, or persons cropped from a batch",
}
