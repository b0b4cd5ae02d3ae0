"""Posterior draws, effects and mechanisms, support, and storage of a fit."""
