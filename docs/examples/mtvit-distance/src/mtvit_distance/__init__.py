"""Distance: how far away every pixel is, from the patches of mtvit's backbone."""
