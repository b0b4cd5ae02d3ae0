"""Bayesian joint effects of several interventions from data on one at a time."""

from bayes_intgen import calibration, models, simulators
from bayes_intgen.certificates import Certificate
from bayes_intgen.errors import (
    BayesIntgenError,
    BayesIntgenWarning,
    DataError,
    ModelError,
    PointsError,
    SamplingWarning,
    SavedFitError,
    SupportWarning,
)
from bayes_intgen.inference import fit
from bayes_intgen.mechanisms import GP, Linear, LogNormal, Polynomial, Spline
from bayes_intgen.posterior import Posterior
from bayes_intgen.predictive import prior_predictive
from bayes_intgen.regimes import RegimeData
from bayes_intgen.storage import load
from bayes_intgen.streamed import StreamedData

__all__ = [
    "GP",
    "BayesIntgenError",
    "BayesIntgenWarning",
    "Certificate",
    "DataError",
    "Linear",
    "LogNormal",
    "ModelError",
    "PointsError",
    "Polynomial",
    "Posterior",
    "RegimeData",
    "SamplingWarning",
    "SavedFitError",
    "Spline",
    "StreamedData",
    "SupportWarning",
    "calibration",
    "fit",
    "load",
    "models",
    "prior_predictive",
    "simulators",
]
