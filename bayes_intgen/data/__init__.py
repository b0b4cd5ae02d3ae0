"""Rows of every kind behind one abstract class, and how they are read."""
