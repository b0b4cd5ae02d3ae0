"""Goodness of fit: score tests of whether each action's functions follow the rows.

Each test asks whether functions that are finer than those of the fit (a random walk along
quantiles of the action) would explain more than chance does. With the fit's coefficients
integrated out, the score of further columns Z is normal with mean zero and covariance P where the
fit holds, so that S'P^-1 S has a chi-squared distribution (Rao's score test). Only sums over rows
are needed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.decomposition import Term
from bayes_intgen.gram import CandidateSums
from bayes_intgen.screening import left_over

# Chance that any test of a fit raises a false alarm.
LEVEL = 0.01
# Directions of which the rows say less than this share of the best-known one are left out: sums
# in single precision do not determine them.
LEAST_SHARE = 1e-4


class FitTest(NamedTuple):
    """A score test of one action's functions.

    Attributes
    ----------
    action : int
    role : {"unconfounded", "bias"}
        Which of its functions.
    p : float
        Probability of a score as large where the fit holds.
    """

    action: int
    role: str
    p: float


def score_tests(
    posterior: Collapsed,
    sites: dict[str, Array],
    statistics: CandidateSums,
    tests: Sequence[Term],
) -> tuple[FitTest, ...]:
    """Test a fit against finer functions of each action.

    Parameters
    ----------
    posterior : Collapsed
        Of the fit.
    sites : dict
        Hyperparameters at which its coefficients are integrated out.
    statistics : CandidateSums
        Beside the columns of the fit, those of the tests.
    tests : sequence of Term
        Finer functions, each of one action.
    """
    _, precisions, scores = left_over(posterior, sites, statistics)
    results = []
    for term, precision, columns in zip(tests, precisions, statistics.columns, strict=True):
        assert term.action is not None
        p = _chi_squared(precision, scores[columns])
        results.append(FitTest(term.action, term.role, p))
    return tuple(results)


def lacking(tests: Sequence[FitTest], level: float = LEVEL) -> tuple[FitTest, ...]:
    """Tests that fail when all of them together raise a false alarm with probability ``level``.

    Holm (1979), a simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> tests = [FitTest(0, "bias", 1e-6), FitTest(1, "bias", 0.3)]
    >>> [test.action for test in lacking(tests)]
    [0]
    """
    ordered = sorted(tests, key=lambda test: test.p)
    rejected = []
    for i, test in enumerate(ordered):
        if test.p > level / (len(ordered) - i):
            break
        rejected.append(test)
    return tuple(rejected)


def _chi_squared(precision: Array, score: Array) -> float:
    values, vectors = np.linalg.eigh((precision + precision.T) / 2)
    known = values > LEAST_SHARE * values[-1]
    statistic = np.sum((vectors[:, known].T @ score) ** 2 / values[known])
    return float(chdtrc(int(known.sum()), statistic))
