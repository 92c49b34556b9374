"""A neural network written out in NumPy: every derivative derived, coded and checked."""
