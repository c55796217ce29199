"""A model as one graph of tensor operations, and the files it is written to."""
