"""One file a verb; the command line, Python and every other door call the same functions."""
