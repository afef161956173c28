"""Layer 4: the audit: what a model memorised of its training data, with the error rates of every finding."""
