"""Rao's score tests for lack of fit in the functions of each action and pair of actions.

The alternatives are functions that are finer than those of the fit: random walks along quantiles of
the action, and products of two. With the fit's coefficients marginalised, the score S of additional
columns is normal with mean zero and covariance P under the null, so that S'P^-1 S has a chi-squared
distribution. The tests need only sufficient statistics.

The alternative is a slope of each group, drawn from a distribution. The locally most powerful test
sums the squared scores of the groups (variance component test: Lin, "Variance component testing in
generalised linear models with random effects", Biometrika 1997). With levels of the groups and a
common slope projected out, the score of group g is U_g = sum_i x_i e_i over its rows, and its
variance under the null is estimated by sum_i x_i^2 e_i^2, whatever the variance of the noise in a
group. If rows have a time, stretches of some rows take the place of rows.

Where an action was set, its slope is that of its effect. Elsewhere the bias adds to it, and may
depend on the group's usual value of the action: there slopes that are a polynomial in it are
projected out. They may still differ between groups that respond alike, so that they count only
beside some evidence from rows in which the action was set. In few groups with experiments, chosen
because they respond, this evidence is weak, and the other groups have most of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import CentredBasis, PiecewiseLinear
from bayes_intgen.basis.combined import TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.factor import orthonormal_basis
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.models.mechanisms.mechanism import MAX_FINER_KNOTS
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.variance_function import VarianceFunction

# Familywise error rate of all tests of a fit.
LEVEL = 0.01
# P values of the screening by mean residuals below which a score test is made: of an action, and of
# a pair, of which there are many.
SCREENING_LEVEL, PAIR_SCREENING_LEVEL = 0.05, 0.0025
# Maximum number of tests of pairs that the screening retains: of 50 actions, fifty would be, with
# some hundred functions each.
MAX_PAIR_TESTS = 16
# Every so many knots of a pair bound the cells of its screening: about six by six.
SCREENING_STEP = 2
# Number of quantiles of an action, among which a threshold is sought, on either side of it that
# become knots.
NEAR_THRESHOLD = 2
# Minimum precision of a direction relative to the largest: single precision does not determine
# smaller ones.
MIN_PRECISION_SHARE = 1e-4
# Degree of the polynomial in a group's usual value that slopes may follow where an action was not
# set.
USUAL_DEGREE = 2
# P value of slopes where the action was set, above which those elsewhere are no evidence.
CONFIRMED = 0.025
# Number of rows of a unit that follow each other, and may be dependent.
STRETCH = 8
# Singular values, relative to columns of unit length, below which columns are combinations of
# others.
MIN_SINGULAR = 1e-6


class FitTest(NamedTuple):
    """Test of an action's contribution or bias, alone or jointly with another column.

    Attributes
    ----------
    action : int
        Counted through actions, covariates and groups: also a covariate, whose function is tested.
    role : {"unconfounded", "bias", "interaction", "covariate", "moderator", "slope", "jump"}
        ``slope`` is that of the contribution in each group; ``jump`` compares the finer functions
        of an interaction in the fit with smooth ones.
    p : float
        P value.
    given : int, optional
        The other column of a joint test, counted through actions, covariates and groups.
    """

    action: int
    role: str
    p: float
    given: int | None = None

    @classmethod
    def of(cls, term: Term, p: float = 1.0) -> Self:
        """Label a p value with the actions and role of the alternative.

        One for tests ruled out by screening, which still count in the multiplicity correction.
        """
        return cls(term.inputs[0], term.role, p, *term.inputs[1:])


class _Test(Protocol):
    """A test, whatever it calls its actions."""

    @property
    def role(self) -> str: ...
    @property
    def p(self) -> float: ...


def score_tests(
    fit: Mode,
    statistics: CandidateStatistics,
    tests: Sequence[Term],
    dependence: Array | None = None,
) -> tuple[FitTest, ...]:
    """Test a fit against finer functions of each action and pair.

    Parameters
    ----------
    fit : Mode
        Its coefficients are marginalised.
    statistics : CandidateStatistics
        Statistics of the fit's columns and of ``tests``.
    tests : sequence of Term
        Finer functions, each of one action or two.
    dependence : ndarray, shape (P + Q, R), optional
        Root of what dependence of rows adds to the covariance of the scores of all these columns.

    Returns
    -------
    tuple of FitTest
        In the order of ``tests``.
    """
    return tuple(map(FitTest.of, tests, score_p_values(fit, statistics, dependence)))


def score_p_values(
    fit: Mode, statistics: CandidateStatistics, dependence: Array | None = None
) -> list[float]:
    """P value of each candidate's score test; parameters are those of :func:`score_tests`."""
    count, root = fit.terms.size, fit.conditional.root
    if dependence is None:
        dependence = np.zeros((count + len(statistics.cross), 0))
    cross = statistics.cross[:, :-1] / fit.noise_sd**2
    roots = dependence[count:] - cross @ (root @ (root.T @ dependence[:count]))
    pairs = zip(left_over(fit, statistics), statistics.columns, strict=True)
    return [_p_value(*own, roots[at]) for own, at in pairs]


def left_over(fit: Mode, statistics: CandidateStatistics) -> list[tuple[Array, Array]]:
    """Gaussian likelihood of each candidate, the coefficients of a fit marginalised.

    Parameters
    ----------
    fit : Mode
    statistics : CandidateStatistics
        Statistics of the columns of its terms and of the candidates.

    Returns
    -------
    list of (ndarray, shape (q, q), and ndarray, shape (q,))
        Precision and information vector of the likelihood of each candidate.
    """
    conditional, noise_variance = fit.conditional, fit.noise_sd**2
    cross, scores = statistics.cross[:, :-1] / noise_variance, statistics.cross[:, -1]
    half = cross @ conditional.root
    information = scores / noise_variance - cross @ conditional.mean
    return [
        (own / noise_variance - half[at] @ half[at].T, information[at])
        for own, at in zip(statistics.own, statistics.columns, strict=True)
    ]


def suspicious_tests(
    tests: Sequence[Term],
    rows: Observations,
    residuals: Array,
    terms: Decomposition,
    count: int,
) -> tuple[Term, ...]:
    """Select the tests whose residuals show any structure, or that concern an interaction.

    The screening is cheap: a chi-squared test of the mean residuals in the cells between the knots.
    Structure of single actions counts as in all rows: it grows with their number. Of pairs, at
    most ``MAX_PAIR_TESTS`` tests are retained, the likeliest.

    Parameters
    ----------
    tests : sequence of Term
        Finer functions, each piecewise linear in one action or covariate, or products of such.
    rows : Observations
    residuals : ndarray, shape (n,)
        Standardised residuals.
    terms : Decomposition
        Terms of the fit.
    count : int
        Number of all rows, of which ``rows`` may be a sample.
    """
    suspicious, pairs, each = [], [], (rows.inputs, rows.this_period.inputs)
    for term in tests:
        basis = term.component.basis
        factors = basis.factors if isinstance(basis, TensorProductBasis) else (basis,)
        acting, inputs = term.gate(rows.intervened) > 0, each[term.of_period]
        own, cell = residuals[acting], np.zeros(acting.sum(), dtype=int)
        for factor, k in zip(factors, term.inputs, strict=True):
            factor = factor.basis if isinstance(factor, CentredBasis) else factor
            assert isinstance(factor, PiecewiseLinear)
            # Few rows in each of many cells would hide structure that many share.
            coarse = len(factors) > 1 and len(factor.knots) > SCREENING_STEP
            knots = factor.knots[1::SCREENING_STEP] if coarse else factor.knots
            interval = np.searchsorted(knots, inputs[acting, k], side="right")
            cell = cell * (len(knots) + 1) + interval
        counts = np.bincount(cell)
        sums = np.bincount(cell, own)[counts > 0]
        counts = counts[counts > 0]
        squares, cells = float(np.sum(sums**2 / counts)), len(counts)
        if len(factors) > 1:
            if chdtrc(cells, squares) < PAIR_SCREENING_LEVEL:
                # P values of large tables are zero.
                pairs.append(((squares - cells) / np.sqrt(cells), term))
        elif chdtrc(cells, squares * count / len(rows)) < SCREENING_LEVEL:
            suspicious.append(term)
    likeliest = sorted(pairs, key=lambda pair: -pair[0])[:MAX_PAIR_TESTS]
    return with_pairs([*suspicious, *(term for _, term in likeliest)], tests, terms.terms)


def at_thresholds(term: Term, rows: Observations, residuals: Array) -> tuple[Term, ...]:
    """Move walks of an interaction to its thresholds, and follow these also in contributions.

    Knots are added where mean residuals change most along an action, whatever the other one is. A
    threshold between two knots would look like a ramp. What jumps with both actions jumps with
    each on average over the other: by functions of single actions that share the scale.

    Parameters
    ----------
    term : Term
        Of products of walks.
    rows : Observations
    residuals : ndarray, shape (n,)
        Standardised residuals.
    """
    basis, component = term.component.basis, term.component
    if not term.is_interaction or not isinstance(basis, TensorProductBasis):
        return (term,)
    walks, alone = list(basis.factors), list[Term]()
    for i, walk in enumerate(walks):
        if not isinstance(walk, PiecewiseLinear) or not walk.graded:
            continue
        k, other = term.inputs[i], term.inputs[1 - i]
        factor = basis.factors[1 - i]
        assert isinstance(factor, PiecewiseLinear)
        values = rows.actions[:, k]
        of_other = np.searchsorted(factor.knots[1::SCREENING_STEP], rows.actions[:, other])
        near = _near_threshold(values, of_other, residuals)
        knots = [x for x in walk.knots if not near[0] <= x <= near[-1]]
        walks[i] = PiecewiseLinear.random_walk(values[:, None], tuple(sorted([*knots, *near])))
        own = replace(component, basis=walks[i], inputs=(0,), shared_scale=term.name)
        name = f"phi({rows.names[k]}) {component.label}, {rows.names[other]}"
        alone.append(Term(name, "unconfounded", k, (k,), own, None, term.gate))
    basis = TensorProductBasis(tuple(walks), walks[0].size + walks[1].size)
    return replace(term, component=replace(component, basis=basis)), *alone


def _near_threshold(values: Array, cell: NDArray[np.int_], residuals: Array) -> list[float]:
    """Values around that at which mean residuals in cells of another action change most."""
    grid = np.unique(np.quantile(values, (np.arange(MAX_FINER_KNOTS) + 0.5) / MAX_FINER_KNOTS))
    at = np.searchsorted(grid, values, side="right") * (cell.max() + 1) + cell
    shape = (len(grid) + 1, cell.max() + 1)
    rows = np.bincount(at, minlength=shape[0] * shape[1])
    counts = np.cumsum(rows.reshape(shape), axis=0)
    sums = np.cumsum(np.bincount(at, residuals, len(rows)).reshape(shape), axis=0)
    share = counts / np.maximum(counts[-1], 1)
    change = sums - share * sums[-1]
    information = counts * (1 - share)
    statistic = np.divide(change**2, information, out=np.zeros(shape), where=information > 0)
    best = int(np.argmax(statistic[:-1].sum(axis=1)))
    return list(map(float, grid[max(0, best - NEAR_THRESHOLD) : best + NEAR_THRESHOLD + 1]))


def with_pairs(
    suspicious: Sequence[Term], tests: Sequence[Term], terms: Sequence[Term]
) -> tuple[Term, ...]:
    """Add the tests of all pairs whose interaction is among the terms.

    The biases of both actions may hide from the screening what an interaction lacks.
    """
    pairs = {frozenset(term.inputs) for term in terms if term.is_interaction}
    names = {term.name for term in suspicious}
    names |= {t.name for t in tests if t.is_interaction and frozenset(t.inputs) in pairs}
    return tuple(term for term in tests if term.name in names)


def failed_tests[AnyTest: _Test](tests: Sequence[AnyTest]) -> list[AnyTest]:
    """Select the tests that fail at error rate ``LEVEL``, the smallest p value first, then jumps.

    Holm's procedure (1979), *A simple sequentially rejective multiple test procedure*. Jumps, if
    there are any, share the level with all others together: they are of the few pairs of actions
    that evidence has selected.

    Examples
    --------
    >>> failed_tests([FitTest(0, "bias", 0.3), FitTest(1, "bias", 1e-6)])
    [FitTest(action=1, role='bias', p=1e-06, given=None)]
    """
    families = [[t for t in tests if (t.role == "jump") == jumps] for jumps in (False, True)]
    level, failed = LEVEL / max(1, sum(map(bool, families))), list[AnyTest]()
    for family in families:
        for i, test in enumerate(sorted(family, key=attrgetter("p"))):
            if test.p > level / (len(family) - i):
                break
            failed.append(test)
    return failed


def _p_value(precision: Array, score: Array, root: Array) -> float:
    """P value of the score statistic, over the directions with enough precision.

    ``root`` is that of what dependence of rows adds to the covariance, shape (q, R).
    """
    values, vectors = np.linalg.eigh((precision + precision.T) / 2)
    informed = values > MIN_PRECISION_SHARE * values[-1]
    turned, added = (vectors[:, informed].T @ own for own in (score, root))
    statistic = turned @ np.linalg.solve(np.diag(values[informed]) + added @ added.T, turned)
    return float(chdtrc(int(informed.sum()), statistic))


def slope_tests(
    rows: Observations, residuals: Array, terms: Decomposition, spread: VarianceFunction
) -> Iterator[FitTest]:
    """Test each action and grouping without slopes in the model.

    Parameters
    ----------
    rows : Observations
    residuals : ndarray, shape (n,)
        Of a fit.
    terms : Decomposition
        Of the fit.
    spread : VarianceFunction
    """
    root, stretch = 1 / relative_noise_sd(spread, rows), rows.stretches(STRETCH)
    standardised, count = residuals * root, len(rows.names)

    def p_value(k: int, codes: NDArray[np.int_], of: NDArray[np.bool_], degree: int) -> float:
        columns = _columns(terms, k, rows)
        return len(columns) * min(
            _slope_p_value(column[of], codes[of], standardised[of], root[of], degree, stretch[of])
            for column in columns
        )

    for grouping in range(count + len(rows.columns.names), count + len(rows.columns)):
        codes = rows.inputs[:, grouping].astype(int)
        for k, was_set in enumerate(rows.intervened.T):
            if _has_slopes(terms, k, grouping):
                continue
            where_set = p_value(k, codes, was_set, 0)
            elsewhere = p_value(k, codes, ~was_set, USUAL_DEGREE)
            p = min(where_set, elsewhere) if where_set < CONFIRMED else where_set
            yield FitTest(k, "slope", min(1.0, 2 * p), grouping)


def _has_slopes(terms: Decomposition, k: int, grouping: int) -> bool:
    """Whether the slopes of an action differ between groups in the model."""
    effects = terms.random_effects
    if effects is not None and effects.grouping == grouping and k in effects.inputs:
        return True
    return any(t.role == "group" and t.inputs == (k, grouping) for t in terms.terms)


def _columns(terms: Decomposition, k: int, rows: Observations) -> list[Array]:
    """The coordinate of an action, or indicators of its levels but one."""
    values, levels = rows.actions[:, k], terms.categories[k]
    if levels is None:
        return [terms.coordinates[k](values)]
    return [(values == code).astype(float) for code in levels.codes[1:]]


def _slope_p_value(
    column: Array,
    codes: NDArray[np.int_],
    residual: Array,
    root: Array,
    degree: int,
    stretch: NDArray[np.int_],
) -> float:
    """P value of slopes that are a polynomial in the usual value of a group; one without rows.

    Parameters
    ----------
    column : ndarray, shape (n,)
    codes : ndarray of int, shape (n,)
        Group of each row.
    residual : ndarray, shape (n,)
        Over the standard deviation of the noise.
    root : ndarray, shape (n,)
        One over this standard deviation.
    degree : int
    stretch : ndarray of int, shape (n,)
        Rows of a group that may be dependent.
    """
    if not len(codes):
        return 1.0
    _, group = np.unique(codes, return_inverse=True)
    _, first, piece = np.unique(
        group * (stretch.max() + 1) + stretch, return_index=True, return_inverse=True
    )
    of_piece = group[first]

    def sums(values: Array) -> Array:
        return np.bincount(group, values)

    number, units = np.bincount(of_piece).astype(float), sums(root**2)
    usual = sums(root**2 * column) / units
    x = root * (column - usual[group])
    e = residual - root * (sums(root * residual) / units)[group]
    information = sums(x**2)
    # Slopes of groups regressed on the polynomial, with leverages.
    scale = float(usual.std()) or 1.0
    powers = ((usual - usual.mean()) / scale)[:, None] ** np.arange(degree + 1)
    weighted = np.sqrt(information)[:, None] * powers
    span = orthonormal_basis(weighted, MIN_SINGULAR)
    free = 1 - np.sum(span**2, axis=1)
    slopes = span @ (span.T @ _ratio(sums(x * e), np.sqrt(information)))
    e = e - x * _ratio(slopes, np.sqrt(information))[group]
    score, squares = sums(x * e), np.bincount(piece, x * e) ** 2
    correction = free * _ratio(number, number - 1)
    variance = correction * np.bincount(of_piece, squares)
    # Squares of single rows are no evidence of a slope that a group's rows share.
    second = float(np.sum(variance**2 - correction**2 * np.bincount(of_piece, squares**2)))
    if not second > 0:
        return 1.0
    # A chi-squared variable with the skewness of the sum, shifted and scaled.
    df = second**3 / float(np.sum(variance**3)) ** 2
    z = float(np.sum(score**2 - variance)) / np.sqrt(2 * second)
    return float(chdtrc(df, max(df + z * np.sqrt(2 * df), 0.0)))


def _ratio(value: Array, over: Array) -> Array:
    """Quotient; zero where the denominator is not positive."""
    return np.divide(value, over, out=np.zeros(len(value)), where=over > 0)
