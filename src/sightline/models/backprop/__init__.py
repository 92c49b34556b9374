"""Implement a neural network in NumPy: every derivative derived, coded and checked."""
