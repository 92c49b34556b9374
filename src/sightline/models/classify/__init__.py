"""Image classifiers as plain modules, one family a file."""
