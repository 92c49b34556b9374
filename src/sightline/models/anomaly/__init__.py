"""Tell pictures that are not as they should be, having seen good ones alone."""
