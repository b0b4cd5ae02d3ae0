"""Conjugate algebra of normal coefficients."""
