"""Layer 1: forward processes. They turn data to noise and know no network."""
