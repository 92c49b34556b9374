"""Implement methods from before deep learning on NumPy arrays, with scikit-learn's contract."""
