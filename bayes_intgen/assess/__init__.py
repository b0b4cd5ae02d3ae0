"""Diagnostics, checks of assumptions, sensitivity and summaries."""
