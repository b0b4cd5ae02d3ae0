"""Generative NumPyro models, imported as ``bayes_intgen.models``."""

from bayes_intgen.models.additive import AdditiveModel, additive
from bayes_intgen.models.base import Model
from bayes_intgen.models.multiplicative import multiplicative
from bayes_intgen.models.regression import RegressionModel, pooled, saturated

__all__ = [
    "AdditiveModel",
    "Model",
    "RegressionModel",
    "additive",
    "multiplicative",
    "pooled",
    "saturated",
]
