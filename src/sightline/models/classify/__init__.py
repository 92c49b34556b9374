"""Implement image classifiers as plain modules, one family a file."""
