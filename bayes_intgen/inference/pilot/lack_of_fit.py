"""Rao's score tests for lack of fit in the functions of each action and pair of actions.

The alternatives are functions that are finer than those of the fit: random walks along quantiles of
the action, and products of two. With the fit's coefficients marginalised, the score S of additional
columns is normal with mean zero and covariance P under the null, so that S'P^-1 S has a chi-squared
distribution. The tests need only sufficient statistics.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtrc

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._typing import Array
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.inference.pilot.forward_selection import left_over
from bayes_intgen.inference.pilot.joint_problems import JointTest, joint_problems, p_text
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.text.messages import first_few

# Familywise error rate of all tests of a fit.
LEVEL = 0.01
# P values of the screening by mean residuals below which a score test is made: of an action, and of
# a pair, of which there are many.
SCREENING_LEVEL, PAIR_SCREENING_LEVEL = 0.05, 0.0025
# Every so many knots of a pair bound the cells of its screening: about six by six.
SCREENING_STEP = 2
# Minimum precision of a direction relative to the largest: single precision does not determine
# smaller ones.
MIN_PRECISION_SHARE = 1e-4


class FitTest(NamedTuple):
    """Test of an action's contribution or bias, alone or jointly with another column.

    Attributes
    ----------
    action : int
    role : {"unconfounded", "bias", "interaction", "slope"}
        ``slope`` is that of the contribution in each group.
    p : float
        P value.
    given : int, optional
        The other action, or the grouping, counted through actions, covariates and groups.
    """

    action: int
    role: str
    p: float
    given: int | None = None

    @classmethod
    def of(cls, term: Term, p: float) -> Self:
        """Label a p value with the actions and role of the alternative."""
        return cls(term.inputs[0], term.role, p, *term.inputs[1:])

    @classmethod
    def passed(cls, term: Term) -> Self:
        """Test ruled out by screening, which still counts in the multiplicity correction."""
        return cls.of(term, 1.0)

    def and_roughness(self, rough: Mapping[tuple[int | None, ...], float]) -> Self:
        """Combine the test of an interaction with a p value of its smoothness, by Bonferroni."""
        pair = (self.action, self.given)
        if self.role != "interaction" or pair not in rough:
            return self
        return self._replace(p=min(1.0, 2 * min(self.p, rough[pair])))


def score_tests(
    posterior: MarginalPosterior,
    sites: dict[str, Array],
    statistics: CandidateStatistics,
    tests: Sequence[Term],
) -> tuple[FitTest, ...]:
    """Test a fit against finer functions of each action and pair.

    Parameters
    ----------
    posterior : MarginalPosterior
        Posterior of the fit.
    sites : dict
        Hyperparameters at which its coefficients are marginalised.
    statistics : CandidateStatistics
        Statistics of the fit's columns and of ``tests``.
    tests : sequence of Term
        Finer functions, each of one action or two.

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
    rows: Observations,
    residuals: Array,
    terms: Decomposition,
    count: int,
) -> tuple[Term, ...]:
    """Select the tests whose residuals show any structure, or that concern an interaction.

    The screening is cheap: a chi-squared test of the mean residuals in the cells between the knots.
    Structure of single actions counts as in all rows: it grows with their number.

    Parameters
    ----------
    tests : sequence of Term
        Finer functions, each piecewise linear in one action, or products of such.
    rows : Observations
    residuals : ndarray, shape (n,)
        Standardised residuals.
    terms : Decomposition
        Terms of the fit.
    count : int
        Number of all rows, of which ``rows`` may be a sample.
    """
    suspicious = []
    for term in tests:
        basis = term.component.basis
        factors = basis.factors if isinstance(basis, TensorProductBasis) else (basis,)
        acting = term.gate(rows.intervened) > 0
        own, cell = residuals[acting], np.zeros(acting.sum(), dtype=int)
        for factor, k in zip(factors, term.inputs, strict=True):
            assert isinstance(factor, PiecewiseLinear)
            # Few rows in each of many cells would hide structure that many share.
            coarse = len(factors) > 1 and len(factor.knots) > SCREENING_STEP
            knots = factor.knots[1::SCREENING_STEP] if coarse else factor.knots
            interval = np.searchsorted(knots, rows.actions[acting, k], side="right")
            cell = cell * (len(knots) + 1) + interval
        counts = np.bincount(cell)
        sums = np.bincount(cell, own)[counts > 0]
        counts = counts[counts > 0]
        single = len(factors) == 1
        level = SCREENING_LEVEL if single else PAIR_SCREENING_LEVEL
        ratio = count / len(rows) if single else 1.0
        if chdtrc(len(counts), np.sum(sums**2 / counts) * ratio) < level:
            suspicious.append(term)
    return with_pairs(suspicious, tests, terms.terms)


def with_pairs(
    suspicious: Sequence[Term], tests: Sequence[Term], terms: Sequence[Term]
) -> tuple[Term, ...]:
    """Add the tests of all pairs whose interaction is among the terms.

    The biases of both actions may hide from the screening what an interaction lacks.
    """
    pairs = {frozenset(term.inputs) for term in terms if term.role == "interaction"}
    names = {term.name for term in suspicious}
    names |= {t.name for t in tests if t.role == "interaction" and frozenset(t.inputs) in pairs}
    return tuple(term for term in tests if term.name in names)


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

    Parameters
    ----------
    tests : sequence of FitTest
    names : sequence of str
        Actions, then covariates and groups.

    Returns
    -------
    Dataset, dim fit_test
        ``fit_p``, ``fit_action``, ``fit_role`` and ``fit_given``: the name of the other action or
        of the grouping of a joint test, otherwise empty.

    Examples
    --------
    >>> fit_tests_dataset([FitTest(0, "bias", 0.3)], ["red"]).fit_test.item()
    'delta(red)'
    """
    symbols = {"unconfounded": "phi", "interaction": "psi", "bias": "delta", "slope": "slope"}
    given = ["" if test.given is None else names[test.given] for test in tests]
    labels = []
    for test, other in zip(tests, given, strict=True):
        separator = ", " if test.role == "interaction" else " | "
        own = separator.join(filter(None, (names[test.action], other)))
        labels.append(f"{symbols[test.role]}({own})")
    return labelled_dataset(
        {
            "fit_p": ("fit_test", np.array([test.p for test in tests], dtype=float)),
            "fit_action": ("fit_test", np.array([test.action for test in tests], dtype=np.int64)),
            "fit_role": ("fit_test", np.array([test.role for test in tests], dtype=str)),
            "fit_given": ("fit_test", np.array(given, dtype=str)),
        },
        {"fit_test": np.array(labels, dtype=str)},
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
    columns = [tests[f"fit_{name}"].values.tolist() for name in ("action", "role", "p")]
    given = tests["fit_given"].values.tolist()
    rows = zip(*columns, (i if other else None for i, other in enumerate(given)), strict=True)
    failed = failed_tests([FitTest(*row) for row in rows], level)
    names = tests["action"].values
    single = [test for test in failed if test.given is None]
    # Where an action alone is not followed, its pairs fail for the same reason.
    known = {str(names[test.action]) for test in single}
    joint = [
        JointTest(str(names[test.action]), test.role, test.p, given[test.given])
        for test in failed
        if test.given is not None
        and (test.role == "slope" or known.isdisjoint((str(names[test.action]), given[test.given])))
    ]
    return [*_single_problems(single, names), *joint_problems(joint)]


def _single_problems(failed: Sequence[FitTest], names: NDArray[np.str_]) -> list[str]:
    """Report all functions of single actions in one sentence."""
    functions = {"unconfounded": "contribution", "bias": "confounding bias"}
    found = []
    for role, function in functions.items():
        own = [repr(str(names[test.action])) for test in failed if test.role == role]
        found += [f"the {function} of {first_few(own)}"] if own else []
    if not found:
        return []
    p = p_text(min(test.p for test in failed))
    return [
        f"the fit does not follow {' and '.join(found)} ({p}): "
        "answers may be wrong; plot the outcome against the action, and try "
        "bi.Spline(intervals=...) or bi.Levels()"
    ]


def _p_value(precision: Array, score: Array) -> float:
    """P value of the score statistic, over the directions with enough precision."""
    values, vectors = np.linalg.eigh((precision + precision.T) / 2)
    informed = values > MIN_PRECISION_SHARE * values[-1]
    statistic = np.sum((vectors[:, informed].T @ score) ** 2 / values[informed])
    return float(chdtrc(int(informed.sum()), statistic))
