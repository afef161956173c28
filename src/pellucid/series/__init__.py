"""What is particular to signals."""
