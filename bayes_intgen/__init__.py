"""Bayesian joint effects of several interventions from data on one at a time."""

import lazy_loader

# What the package offers stands in __init__.pyi; each name is imported when it is first used, so
# that a program which only describes data does not wait for samplers and plots.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
