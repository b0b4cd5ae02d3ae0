"""Formatting of numbers, tables and messages."""
