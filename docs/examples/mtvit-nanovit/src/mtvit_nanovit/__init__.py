"""Small ViTs in plain torch, as a family of backbones."""
