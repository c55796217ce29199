"""ViTs of two branches with patches of two sizes, which exchange what they see (CrossViT)."""
