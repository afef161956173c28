"""Energy models, and laws composed of trained ones."""
