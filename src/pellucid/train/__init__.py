"""Layer 4: training, and the folder that a run leaves behind."""
