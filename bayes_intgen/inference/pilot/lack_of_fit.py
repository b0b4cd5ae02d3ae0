"""Goodness of fit: score tests of whether each action's functions follow the rows.

Each test compares a fit with functions that are finer than its own (a random walk along quantiles
of the action). With the fit's coefficients integrated out, the score S of further columns is
normal with mean zero and covariance P if the fit is right, so that S'P^-1 S has a chi-squared
distribution (Rao's score test). Only sums over rows are needed.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtrc

from bayes_intgen._typing import Array
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.inference.pilot.forward_selection import left_over
from bayes_intgen.models.terms import Term

# Probability that any test of a fit raises a false alarm.
LEVEL = 0.01
# P value of mean residuals below which a test is made.
SUSPICIOUS = 0.05
# Directions with less than this share of the largest precision are left out: sums in single
# precision do not determine them.
MIN_PRECISION_SHARE = 1e-4


class FitTest(NamedTuple):
    """A score test of one action's functions.

    Attributes
    ----------
    action : int
    role : {"unconfounded", "bias"}
        Its contribution or its confounding bias.
    p : float
        Probability of a score at least as large if the fit is right.
    """

    action: int
    role: str
    p: float

    @classmethod
    def of(cls, term: Term, p: float) -> Self:
        """Test against finer functions of one action."""
        assert term.action is not None
        return cls(term.action, term.role, p)

    @classmethod
    def passed(cls, term: Term) -> Self:
        """Test that residuals give no reason to make; it counts in the correction for many."""
        return cls.of(term, 1.0)


def score_tests(
    posterior: MarginalPosterior,
    sites: dict[str, Array],
    statistics: CandidateStatistics,
    tests: Sequence[Term],
) -> tuple[FitTest, ...]:
    """Test a fit against finer functions of each action.

    Parameters
    ----------
    posterior : MarginalPosterior
        Of the fit.
    sites : dict
        Hyperparameters at which its coefficients are integrated out.
    statistics : CandidateStatistics
        Beside the columns of the fit, those of the tests.
    tests : sequence of Term
        Finer functions, each of one action.

    Returns
    -------
    tuple of FitTest
        In the order of ``tests``.
    """
    _, precisions, scores = left_over(posterior, sites, statistics)
    results = []
    for term, precision, columns in zip(tests, precisions, statistics.columns, strict=True):
        results.append(FitTest.of(term, _chi_squared(precision, scores[columns])))
    return tuple(results)


def suspects(
    tests: Sequence[Term],
    actions: Array,
    intervened: NDArray[np.bool_],
    residuals: Array,
) -> tuple[Term, ...]:
    """Select the tests that residuals give any reason to make.

    A cheap screen: mean residuals between the knots of each test, against their standard errors.

    Parameters
    ----------
    tests : sequence of Term
        Finer functions, each piecewise linear in one action.
    actions, intervened : ndarray, shape (n, K)
    residuals : ndarray, shape (n,)
        Standardised.
    """
    chosen = []
    for term in tests:
        basis = term.component.basis
        assert isinstance(basis, PiecewiseLinear)
        acting = term.gate(intervened) > 0
        values, own = actions[acting, term.inputs[0]], residuals[acting]
        interval = np.searchsorted(basis.knots, values, side="right")
        counts = np.bincount(interval)
        sums = np.bincount(interval, own)[counts > 0]
        counts = counts[counts > 0]
        if chdtrc(len(counts), np.sum(sums**2 / counts)) < SUSPICIOUS:
            chosen.append(term)
    return tuple(chosen)


def lacking(tests: Sequence[FitTest], level: float = LEVEL) -> tuple[FitTest, ...]:
    """Select the tests that fail, with probability ``level`` of any false alarm among them all.

    Holm's procedure (1979), *A simple sequentially rejective multiple test procedure*.

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


def fit_tests_dataset(tests: Sequence[FitTest], names: Sequence[str]) -> xr.Dataset:
    """Tests as labelled arrays, to be saved with a fit.

    Returns
    -------
    Dataset, dim fit_test
        ``fit_p``, ``fit_action`` and ``fit_role``.

    Examples
    --------
    >>> fit_tests_dataset([FitTest(0, "bias", 0.3)], ["red"]).fit_test.item()
    'delta(red)'
    """
    symbols = {"unconfounded": "phi", "bias": "delta"}
    return xr.Dataset(
        {
            "fit_p": ("fit_test", np.array([test.p for test in tests], dtype=float)),
            "fit_action": ("fit_test", np.array([test.action for test in tests], dtype=np.int64)),
            "fit_role": ("fit_test", np.array([test.role for test in tests], dtype=str)),
        },
        coords={
            "fit_test": np.array(
                [f"{symbols[test.role]}({names[test.action]})" for test in tests], dtype=str
            )
        },
    )


def fit_problems(tests: xr.Dataset, level: float = LEVEL) -> list[str]:
    """Name the actions whose functions do not follow the rows, a sentence each.

    Parameters
    ----------
    tests : Dataset
        As :func:`fit_tests_dataset` returns it, with the actions' names as coordinate ``action``.
    level : float
        Probability of a false alarm by any test.

    Examples
    --------
    >>> fit_problems(posterior.tree["constant_data"].dataset)
    []
    """
    if "fit_p" not in tests:
        # The fit was saved by a version without these tests.
        return []
    columns = (tests[f"fit_{name}"].to_numpy().tolist() for name in ("action", "role", "p"))
    failed = lacking([FitTest(*row) for row in zip(*columns, strict=True)], level)
    names = tests["action"].to_numpy()
    sentences = []
    for action in dict.fromkeys(test.action for test in failed):
        own = [test for test in failed if test.action == action]
        which = " and ".join(
            {"unconfounded": "contribution", "bias": "confounding bias"}[test.role] for test in own
        )
        p = max(min(test.p for test in own), 1e-4)
        sentences.append(
            f"the fit does not follow the {which} of {str(names[action])!r} "
            f"(p {'<' if p == 1e-4 else '='} {p:.1g}): it changes faster than the model's "
            "functions can, or has a shape that they cannot take. Answers may be wrong there, and "
            "intervals too narrow; plot the outcome against this action, and give the action "
            "bi.Levels(), a transformed scale or bi.Spline(intervals=...)"
        )
    return sentences


def _chi_squared(precision: Array, score: Array) -> float:
    values, vectors = np.linalg.eigh((precision + precision.T) / 2)
    known = values > MIN_PRECISION_SHARE * values[-1]
    statistic = np.sum((vectors[:, known].T @ score) ** 2 / values[known])
    return float(chdtrc(int(known.sum()), statistic))
