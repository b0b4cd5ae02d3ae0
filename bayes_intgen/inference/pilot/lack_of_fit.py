"""Rao's score tests for lack of fit in the functions of each action.

The alternatives are functions that are finer than those of the fit: random walks along quantiles of
the action. With the fit's coefficients marginalised, the score S of additional columns is normal
with mean zero and covariance P under the null, so that S'P^-1 S has a chi-squared distribution. The
tests need only sufficient statistics.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtrc

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._typing import Array
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.inference.pilot.forward_selection import left_over
from bayes_intgen.models.terms import Term
from bayes_intgen.text.messages import first_few

# Familywise error rate of all tests of a fit.
LEVEL = 0.01
# P value of the screening by mean residuals below which a score test is made.
SCREENING_LEVEL = 0.05
# Minimum precision of a direction relative to the largest: single precision does not determine
# smaller ones.
MIN_PRECISION_SHARE = 1e-4


class FitTest(NamedTuple):
    """Score test of one action's contribution or bias.

    Attributes
    ----------
    action : int
    role : {"unconfounded", "bias"}
    p : float
        P value.
    """

    action: int
    role: str
    p: float

    @classmethod
    def of(cls, term: Term, p: float) -> Self:
        """Label a p value with the action and role of the alternative."""
        assert term.action is not None
        return cls(term.action, term.role, p)

    @classmethod
    def passed(cls, term: Term) -> Self:
        """Test ruled out by screening, which still counts in the multiplicity correction."""
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
        Posterior of the fit.
    sites : dict
        Hyperparameters at which its coefficients are marginalised.
    statistics : CandidateStatistics
        Statistics of the fit's columns and of ``tests``.
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
        results.append(FitTest.of(term, _p_value(precision, scores[columns])))
    return tuple(results)


def suspicious_tests(
    tests: Sequence[Term],
    actions: Array,
    intervened: NDArray[np.bool_],
    residuals: Array,
) -> tuple[Term, ...]:
    """Select the tests whose residuals show any structure.

    The screening is cheap: a chi-squared test of the mean residuals between the knots.

    Parameters
    ----------
    tests : sequence of Term
        Finer functions, each piecewise linear in one action.
    actions, intervened : ndarray, shape (n, K)
    residuals : ndarray, shape (n,)
        Standardised residuals.
    """
    suspicious = []
    for term in tests:
        basis = term.component.basis
        assert isinstance(basis, PiecewiseLinear)
        acting = term.gate(intervened) > 0
        values, own = actions[acting, term.inputs[0]], residuals[acting]
        interval = np.searchsorted(basis.knots, values, side="right")
        counts = np.bincount(interval)
        sums = np.bincount(interval, own)[counts > 0]
        counts = counts[counts > 0]
        if chdtrc(len(counts), np.sum(sums**2 / counts)) < SCREENING_LEVEL:
            suspicious.append(term)
    return tuple(suspicious)


def failed_tests(tests: Sequence[FitTest], level: float = LEVEL) -> tuple[FitTest, ...]:
    """Select the tests that fail at familywise error rate ``level``.

    Holm's procedure (1979), *A simple sequentially rejective multiple test procedure*.

    Examples
    --------
    >>> tests = [FitTest(0, "bias", 1e-6), FitTest(1, "bias", 0.3)]
    >>> [test.action for test in failed_tests(tests)]
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
    """Label the tests as arrays, for storage with a fit.

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
    return labelled_dataset(
        {
            "fit_p": ("fit_test", np.array([test.p for test in tests], dtype=float)),
            "fit_action": ("fit_test", np.array([test.action for test in tests], dtype=np.int64)),
            "fit_role": ("fit_test", np.array([test.role for test in tests], dtype=str)),
        },
        {
            "fit_test": np.array(
                [f"{symbols[test.role]}({names[test.action]})" for test in tests], dtype=str
            )
        },
    )


def fit_problems(tests: xr.Dataset, level: float = LEVEL) -> list[str]:
    """Report actions with lack of fit, in one sentence.

    Parameters
    ----------
    tests : Dataset
        Result of :func:`fit_tests_dataset`, with the actions' names as coordinate ``action``.
    level : float
        Familywise error rate.

    Examples
    --------
    >>> fit_problems(posterior.tree["constant_data"].dataset)
    []
    """
    if "fit_p" not in tests:
        # Fits saved by versions without these tests.
        return []
    columns = (tests[f"fit_{name}"].values.tolist() for name in ("action", "role", "p"))
    failed = failed_tests([FitTest(*row) for row in zip(*columns, strict=True)], level)
    names = tests["action"].values
    if not failed:
        return []
    functions = {"unconfounded": "contribution", "bias": "confounding bias"}
    found = []
    for role, function in functions.items():
        own = [repr(str(names[test.action])) for test in failed if test.role == role]
        found += [f"the {function} of {first_few(own)}"] if own else []
    p = min(test.p for test in failed)
    shown = "< 0.0001" if p < 1e-4 else f"= {p:.1g}"
    return [
        f"the fit does not follow {' and '.join(found)} (p {shown}): answers may be wrong; plot "
        "the outcome against the action, and try bi.Spline(intervals=...) or bi.Levels()"
    ]


def _p_value(precision: Array, score: Array) -> float:
    """P value of the score statistic, over the directions with enough precision."""
    values, vectors = np.linalg.eigh((precision + precision.T) / 2)
    informed = values > MIN_PRECISION_SHARE * values[-1]
    statistic = np.sum((vectors[:, informed].T @ score) ** 2 / values[informed])
    return float(chdtrc(int(informed.sum()), statistic))
