"""Label every pixel: semantic networks and their losses, one file each."""
