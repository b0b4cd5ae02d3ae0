"""Priors over one mechanism."""
