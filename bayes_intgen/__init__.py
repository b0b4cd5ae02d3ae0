"""Bayesian joint effects of several interventions from data on one at a time."""

import lazy_loader

from bayes_intgen._checkout import require_models

require_models()

# __init__.pyi lists the public names. Each is imported at its first use, so that programs that only
# describe data do not wait for samplers and plots.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
