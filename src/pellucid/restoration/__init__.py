"""Restoration of a person's own files: what damaged them, how they are read, restored and written."""
