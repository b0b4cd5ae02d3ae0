"""Structural causal models with known true effects."""

from bayes_intgen.simulators.base import StructuralCausalModel
from bayes_intgen.simulators.discrete import Binary, Counts, Ordered
from bayes_intgen.simulators.dose_response import DoseResponse
from bayes_intgen.simulators.linear import Linear
from bayes_intgen.simulators.marketing_panel import MarketingPanel
from bayes_intgen.simulators.media_mix import MediaMix
from bayes_intgen.simulators.observed_causes import ObservedCauses, ObservedColumns
from bayes_intgen.simulators.polynomial import Polynomial
from bayes_intgen.simulators.repeated_visits import RepeatedVisits
from bayes_intgen.simulators.violations import Interacting, SharedConfounder, ShiftedSupport
from bayes_intgen.simulators.weekly_panel import WeeklyPanel
from bayes_intgen.simulators.zero_inflated import ZeroInflated

__all__ = [
    "Binary",
    "Counts",
    "DoseResponse",
    "Interacting",
    "Linear",
    "MarketingPanel",
    "MediaMix",
    "ObservedCauses",
    "ObservedColumns",
    "Ordered",
    "Polynomial",
    "RepeatedVisits",
    "SharedConfounder",
    "ShiftedSupport",
    "StructuralCausalModel",
    "WeeklyPanel",
    "ZeroInflated",
]
