"""Inputs for ``benchmarks.robustness.fuzz``: how files are damaged, and what reads them."""
