"""Images and annotations: how they are read, split, prepared, checked and drawn."""
