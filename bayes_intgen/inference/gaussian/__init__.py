"""Conjugate algebra of Gaussian linear models."""
