"""Layer 0: what everything else stands on, and what knows nothing of diffusion."""
