"""Detection as tokens of a plain ViT: the YOLOS head, and a head that picks its queries from context."""
