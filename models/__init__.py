"""Generative NumPyro models, imported as ``bayes_intgen.models``."""

from bayes_intgen.basis.basis import Basis
from bayes_intgen.models.additive_model import AdditiveModel
from bayes_intgen.models.base import Model
from bayes_intgen.models.mechanisms.mechanism import Column, Mechanism
from bayes_intgen.models.regression import RegressionModel
from bayes_intgen.models.specification import additive, multiplicative, pooled, saturated

__all__ = [
    "AdditiveModel",
    "Basis",
    "Column",
    "Mechanism",
    "Model",
    "RegressionModel",
    "additive",
    "multiplicative",
    "pooled",
    "saturated",
]
