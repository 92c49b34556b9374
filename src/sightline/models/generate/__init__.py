"""Make pictures like those of a data set."""
