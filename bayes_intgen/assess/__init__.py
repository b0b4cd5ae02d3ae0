"""Reliability of the answers."""
