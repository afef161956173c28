"""Classifiers as models: they guide, and they judge."""
