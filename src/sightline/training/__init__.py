"""Runs on disk, and the loop that trains neural networks (to come)."""
