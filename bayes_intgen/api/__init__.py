"""Functions and classes that users call."""
