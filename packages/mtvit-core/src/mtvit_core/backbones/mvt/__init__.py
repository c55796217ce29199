"""ViT-MVT's plain ViT: convolutions beside attention, and heads and hidden width of each block its own."""
