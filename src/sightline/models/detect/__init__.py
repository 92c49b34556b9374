"""Implement object detectors: their parts, one concept a file, and the models made of them."""
