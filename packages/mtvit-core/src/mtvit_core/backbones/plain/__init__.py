"""The plain ViTs of timm."""
