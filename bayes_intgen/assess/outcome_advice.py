"""Advice before a fit: positive, skewed outcomes whose logarithm the rows follow better."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations

# Minimum gain in log likelihood per row, and minimum skewness of residuals of the outcome itself.
MIN_GAIN, MIN_SKEWNESS = 0.1, 0.5
# Minimum number of rows of a regime per coefficient of its regression.
MIN_ROWS = 3


def advice_on_scale(rows: Observations) -> tuple[str, ...]:
    """Suggest the multiplicative model for an outcome that it fits better; empty otherwise.

    Examples
    --------
    >>> advice_on_scale(data)
    ()
    """
    outcome = rows.outcome
    continuous = rows.outcome_kind == "continuous" and rows.weights is None
    if not continuous or not (outcome > 0).all():
        return ()
    gain, skewness = gain_of_logarithm(rows)
    if gain < MIN_GAIN or skewness < MIN_SKEWNESS:
        return ()
    return (
        "Positive and skewed; quadratic regressions fit its logarithm better. If effects multiply, "
        "fit bi.models.multiplicative() (--multiplicative), and compare it with the additive model "
        "by az.compare.",
    )


def gain_of_logarithm(rows: Observations) -> tuple[float, float]:
    """Gain in log likelihood per row by the logarithm of the outcome, and skewness without it.

    Normal regressions in each regime on the actions and their squares. The likelihoods are of the
    outcome itself, so that they are comparable (Box and Cox 1964).
    """
    coordinates = [Coordinate.of(column)(column) for column in rows.actions.T]
    z = np.stack(coordinates, axis=1)
    design = np.column_stack([np.ones(len(z)), z, z**2])
    gain, standardised = 0.0, []
    for mask in rows.regimes:
        own = (rows.intervened == mask).all(axis=1)
        if own.sum() < MIN_ROWS * design.shape[1]:
            continue
        raw, of_log = (
            _residuals(design[own], y) for y in (rows.outcome[own], np.log(rows.outcome[own]))
        )
        sds = raw.std(), of_log.std()
        if min(sds) == 0:
            continue
        gain += own.sum() * np.log(sds[0] / sds[1]) - np.log(rows.outcome[own]).sum()
        standardised.append(raw / sds[0])
    if not standardised:
        return 0.0, 0.0
    every = np.concatenate(standardised)
    return float(gain / len(every)), float(np.mean(every**3))


def _residuals(design: Array, outcome: Array) -> Array:
    coefficients = np.linalg.lstsq(design, outcome)[0]
    return np.asarray(outcome - design @ coefficients)
