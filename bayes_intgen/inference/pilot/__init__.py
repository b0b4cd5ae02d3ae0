"""Estimates made before sampling."""
