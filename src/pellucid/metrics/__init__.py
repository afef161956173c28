"""Layer 1: measures of how good samples are. They know nothing of diffusion."""
