"""Diffusion in an autoencoder's space."""
