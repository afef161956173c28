"""Models of the rows of tables."""
