"""Bayesian joint effects of several interventions from data on one at a time."""

from . import calibration, datasets, models, simulators
from ._version import __version__
from .api.fitting import fit
from .api.posterior import Posterior, load
from .assess.checks import Check, check
from .assess.findings import Finding
from .assess.summary import Report, report_identification
from .data.covariates import NEW_GROUP
from .data.distributed import DistributedData
from .data.files import clean
from .data.lift_tests import LiftTest
from .data.out_of_core import StreamedData
from .data.reading import read
from .data.regime_data import RegimeData
from .data.rows import Rows
from .decide.best import Plan
from .decide.contrasts import Contrast
from .decide.decision import CVaR, Decision, Quantile
from .decide.estimates import Estimates
from .decide.experiments import Experiment
from .decide.split import design
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
from .identification.certificates import Certificate
from .models.carryover import Adstock
from .models.mechanisms.mechanism import LogNormal
from .models.mechanisms.parametric import Levels, Linear, Polynomial
from .models.mechanisms.smooth import GP, Seasonal, Spline, Trend
from .posterior.prior import prior_predictive

__all__ = [
    "GP",
    "NEW_GROUP",
    "Adstock",
    "BayesIntgenError",
    "BayesIntgenWarning",
    "CVaR",
    "Certificate",
    "Check",
    "Contrast",
    "DataError",
    "DataWarning",
    "Decision",
    "DistributedData",
    "Estimates",
    "Experiment",
    "Finding",
    "LackOfFitWarning",
    "Levels",
    "LiftTest",
    "Linear",
    "LogNormal",
    "ModelError",
    "Plan",
    "PointsError",
    "Polynomial",
    "Posterior",
    "Quantile",
    "RegimeData",
    "Report",
    "Rows",
    "SamplingWarning",
    "SavedFitError",
    "Seasonal",
    "Spline",
    "StreamedData",
    "SupportWarning",
    "Trend",
    "__version__",
    "calibration",
    "check",
    "clean",
    "datasets",
    "design",
    "fit",
    "load",
    "models",
    "prior_predictive",
    "read",
    "report_identification",
    "simulators",
]
