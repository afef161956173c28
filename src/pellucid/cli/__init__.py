"""Layer 5: the command line. Nothing here imports torch until a verb does its work."""
