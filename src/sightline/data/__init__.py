"""Read, split, prepare, check and draw images and annotations."""
