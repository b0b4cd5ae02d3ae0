"""Outcomes that lie far from a fit with Gaussian noise, farther than exponential tails reach.

The mean and its intervals then hang on a few rows: they inflate the noise, distort its variance
function and pull the fit. Noise that is merely skewed, as hidden causes often are, has tails that
fall at least exponentially, and no such rows.
"""

from typing import NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, Rows

# Tail probabilities between which the rate of an exponential tail is estimated: more typing errors
# than a fifth of these would be needed to change it much.
TAILS = (0.2, 0.1)
# Standard errors of that rate by which the tail may be longer than estimated.
STANDARD_ERRORS = 1.64
# Expected number of rows beyond the limit on either side, if the tail is exponential.
EXPECTED_ROWS = 0.01
# Minimum share of the residual sum of squares in such rows: less hardly changes any interval.
MIN_SHARE = 0.05
# Standard deviation of a normal variable over its median absolute deviation.
NORMAL_MAD = 1.4826


class FarOutcomes(NamedTuple):
    """Far outcomes of a fit.

    Attributes
    ----------
    above, below : int
        Numbers of outcomes far above and far below the fit.
    rows : int
        Number of rows that were examined.
    distance : float
        Distance of the farthest from the fit, in robust standard deviations of the noise.
    limit : float
        Distance beyond which outcomes count as far, the smaller of both sides.
    share : float
        Share of these rows in the residual sum of squares.
    row : int
        Row of the farthest outcome, from zero; -1 if the rows are a sample.
    value : float
        That outcome.
    """

    above: int
    below: int
    rows: int
    distance: float
    limit: float
    share: float
    row: int
    value: float

    @classmethod
    def of(cls, data: Rows, rows: Observations, standardised: Array) -> Self | None:
        """Find far outcomes; None if there are none, or they hardly matter.

        Parameters
        ----------
        data : Rows
            All rows of a fit.
        rows : Observations
            Those with residuals.
        standardised : ndarray, shape (n,)
            Residuals over their standard deviations.
        """
        centred = standardised - np.median(standardised)
        scale = NORMAL_MAD * float(np.median(np.abs(centred)))
        if not scale > 0:
            return None
        limits = tuple(exponential_limit(side * centred) for side in (1, -1))
        above, below = centred > limits[0], -centred > limits[1]
        far = above | below
        share = float(np.sum(centred[far] ** 2) / np.sum(centred**2))
        if share < MIN_SHARE:
            return None
        farthest = int(np.argmax(np.where(far, np.abs(centred), 0)))
        return cls(
            int(above.sum()),
            int(below.sum()),
            len(rows),
            float(np.abs(centred[farthest]) / scale),
            min(limits) / scale,
            share,
            _row_in(data, rows, farthest),
            float(rows.outcome[farthest]),
        )

    def to_dataset(self) -> xr.Dataset:
        """Convert to scalars, for storage with a fit."""
        return labelled_dataset({f"far_{n}": ((), value) for n, value in self._asdict().items()})

    @classmethod
    def of_dataset(cls, dataset: xr.Dataset) -> Self | None:
        """Read from :meth:`to_dataset`; None if there are none."""
        if "far_rows" not in dataset:
            return None
        return cls(*(dataset[f"far_{name}"].item() for name in cls._fields))


def exponential_limit(values: Array) -> float:
    """Value that an exponential upper tail exceeds ``EXPECTED_ROWS`` times in as many values.

    Examples
    --------
    >>> round(exponential_limit(np.random.default_rng(0).exponential(size=1_000_000)))
    19
    """
    begin, end = (float(np.quantile(values, 1 - tail)) for tail in TAILS)
    steps = np.log(TAILS[0] / TAILS[1])
    error = np.sqrt((1 / TAILS[1] - 1 / TAILS[0]) / len(values)) / steps
    mean_excess = (end - begin) / steps * (1 + STANDARD_ERRORS * error)
    return float(end + mean_excess * np.log(len(values) * TAILS[1] / EXPECTED_ROWS))


def _row_in(data: Rows, rows: Observations, which: int) -> int:
    """Row of the table that is row ``which`` of some rows, which may be in another order."""
    if not isinstance(data, Observations):
        return -1
    same: NDArray[np.bool_] = data.outcome == rows.outcome[which]
    same &= (data.actions == rows.actions[which]).all(axis=1)
    return int(same.argmax()) if same.any() else -1


def far_outcomes_in_words(far: FarOutcomes, outcome: str) -> str:
    """Say how far the farthest outcome is, what such outcomes do, and the remedy.

    Examples
    --------
    >>> far = FarOutcomes(3, 1, 400, 22.0, 8.0, 0.7, 17, 95.0)
    >>> far_outcomes_in_words(far, "'sales'").split(" (")[0]
    "outcome 'sales' is 95 in row 17, 22 standard deviations of the noise from the fit"
    """
    count = far.above + far.below
    place = f" in row {far.row}" if far.row >= 0 else ""
    such = "1 such row makes" if count == 1 else f"{count:,} such rows make"
    remedy = 'or use bi.models.additive(noise="student_t")'
    if count > 4 and min(far.above, far.below) <= 0.1 * count:
        side = "above" if far.above > far.below else "below"
        remedy = f"but keep real ones: nearly all lie {side}, where Student-t noise misses them"
    return (
        f"outcome {outcome} is {far.value:.6g}{place}, {far.distance:.0f} standard deviations of "
        f"the noise from the fit ({such} up {far.share:.0%} of its variance): correct errors, "
        f"{remedy}"
    )
