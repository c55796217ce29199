"""Self-supervision by pasted figures: outlines, surfaces, compositions, and what is to be found."""
