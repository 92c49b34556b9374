"""Train neural networks, and write runs to disk."""
