"""The command line: a verb and its nouns, one file a verb."""
