"""Structural causal models with known truth, one a file."""

from bayes_intgen.simulators.base import StructuralCausalModel
from bayes_intgen.simulators.linear import Linear
from bayes_intgen.simulators.polynomial import Polynomial

__all__ = ["Linear", "Polynomial", "StructuralCausalModel"]
