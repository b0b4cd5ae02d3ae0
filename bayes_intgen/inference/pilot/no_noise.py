"""Refusal of outcomes that the actions determine completely."""

import numpy as np

from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import DataError

# Minimum noise standard deviation, in units of the outcome's: less is rounding.
MIN_NOISE = 1e-5


def refuse_no_noise(data: Rows, noise_sd: float, unit: float) -> None:
    """Raise DataError if the actions explain the outcome completely."""
    if not noise_sd > MIN_NOISE * unit:
        raise DataError(
            f"the actions determine outcome {data.outcome_name!r} all but exactly (noise of "
            f"{noise_sd:.1g} for a standard deviation of {unit:.3g}), so there is nothing to "
            "infer; check that the outcome was not computed from the actions"
        )


def refuse_straight_line(data: Observations) -> None:
    """Raise DataError if a straight line in the actions explains the outcome of nearly all rows.

    Residuals are compared with the interquartile range, because one outlier can dominate the
    standard deviation, and a fit in transformed coordinates would then not detect the line.
    """
    centred = data.actions - data.actions.mean(axis=0)
    centred /= centred.std(axis=0)
    outcome = data.outcome - data.outcome.mean()
    slopes, *_ = np.linalg.lstsq(centred, outcome)
    interquartile_range = np.subtract(*np.quantile(outcome, [0.75, 0.25]))
    residual = np.quantile(np.abs(outcome - centred @ slopes), 0.9)
    if interquartile_range > 0:
        refuse_no_noise(data, float(residual), float(interquartile_range))
