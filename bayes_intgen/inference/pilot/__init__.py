"""Pilot fit: estimates that precede sampling."""
