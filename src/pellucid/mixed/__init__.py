"""Items of several kinds of data at once."""
