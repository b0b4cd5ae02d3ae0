"""Bayesian joint effects of several interventions from data on one at a time."""

from . import calibration, models, simulators
from .certificates import Certificate
from .checks import Check, check
from .distributed import DistributedData
from .errors import (
    BayesIntgenError,
    BayesIntgenWarning,
    DataError,
    DataWarning,
    LackOfFitWarning,
    ModelError,
    PointsError,
    SamplingWarning,
    SavedFitError,
    SupportWarning,
)
from .inference import fit
from .lift import LiftTest
from .loading import load
from .mechanisms import GP, Levels, Linear, LogNormal, Polynomial, Spline
from .posterior import Posterior
from .predictive import prior_predictive
from .regimes import RegimeData
from .streamed import StreamedData
from .summary import Report, report_identification

__all__ = [
    "GP",
    "BayesIntgenError",
    "BayesIntgenWarning",
    "Certificate",
    "Check",
    "DataError",
    "DataWarning",
    "DistributedData",
    "LackOfFitWarning",
    "Levels",
    "LiftTest",
    "Linear",
    "LogNormal",
    "ModelError",
    "PointsError",
    "Polynomial",
    "Posterior",
    "RegimeData",
    "Report",
    "SamplingWarning",
    "SavedFitError",
    "Spline",
    "StreamedData",
    "SupportWarning",
    "calibration",
    "check",
    "fit",
    "load",
    "models",
    "prior_predictive",
    "report_identification",
    "simulators",
]
