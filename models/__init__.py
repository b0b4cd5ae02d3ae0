"""Generative NumPyro models, imported as ``bayes_intgen.models``."""

from bayes_intgen.models.additive import AdditiveModel, additive
from bayes_intgen.models.base import Model
from bayes_intgen.models.multiplicative import multiplicative
from bayes_intgen.models.regression import PooledModel, SaturatedModel, pooled, saturated

__all__ = [
    "AdditiveModel",
    "Model",
    "PooledModel",
    "SaturatedModel",
    "additive",
    "multiplicative",
    "pooled",
    "saturated",
]
