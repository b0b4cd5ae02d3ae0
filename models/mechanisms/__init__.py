"""Mechanisms: priors of random functions of the actions."""
