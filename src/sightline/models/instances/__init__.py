"""Find each object with its mask: the networks, and how numbers become masks."""
