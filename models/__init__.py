"""Generative NumPyro models, one a file. Users write ``bayes_intgen.models``."""

from bayes_intgen.models.additive import AdditiveModel, additive

__all__ = ["AdditiveModel", "additive"]
