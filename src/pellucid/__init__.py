"""pellucid: diffusion models one can trust."""
