"""Bayesian joint effects of several interventions from data on one at a time."""

import lazy_loader

# __init__.pyi lists the public names. Each is imported at its first use, so that programs that only
# describe data do not wait for samplers and plots.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
