"""Structural causal models with known truth, one a file."""

from bayes_intgen.simulators.base import Estimate, StructuralCausalModel
from bayes_intgen.simulators.dose_response import DoseResponse
from bayes_intgen.simulators.linear import Linear
from bayes_intgen.simulators.media_mix import MediaMix
from bayes_intgen.simulators.polynomial import Polynomial
from bayes_intgen.simulators.violations import Interacting, SharedConfounder, ShiftedSupport

__all__ = [
    "DoseResponse",
    "Estimate",
    "Interacting",
    "Linear",
    "MediaMix",
    "Polynomial",
    "SharedConfounder",
    "ShiftedSupport",
    "StructuralCausalModel",
]
