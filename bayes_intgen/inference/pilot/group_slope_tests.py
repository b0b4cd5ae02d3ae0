"""Score tests of differences between groups in the effect of an action.

The alternative is a slope of each group, drawn from a distribution. The locally most powerful test
sums the squared scores of the groups (variance component test: Lin, "Variance component testing in
generalised linear models with random effects", Biometrika 1997). With levels of the groups and a
common slope projected out, the score of group g is U_g = sum_i x_i e_i over its rows, and its
variance under the null is estimated by sum_i x_i^2 e_i^2, whatever the variance of the noise in a
group.

Where an action was set, its slope is that of its effect. Elsewhere the bias adds to it, and may
depend on the group's usual value of the action: there slopes that are a polynomial in it are
projected out. They may still differ between groups that respond alike, so that they count only
beside some evidence from rows in which the action was set. In few groups with experiments, chosen
because they respond, this evidence is weak, and the other groups have most of it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.matrices import orthonormal_basis
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.pilot.lack_of_fit import FitTest
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import VarianceFunction

# Degree of the polynomial in a group's usual value that slopes may follow where an action was not
# set.
USUAL_DEGREE = 2
# P value of slopes where the action was set, above which those elsewhere are no evidence.
CONFIRMED = 0.025
# Singular values, relative to columns of unit length, below which columns are combinations of
# others.
MIN_SINGULAR = 1e-6


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
    root = 1 / relative_noise_sd(spread, rows)
    count = len(rows.names)
    for grouping in range(count + len(rows.columns.names), count + len(rows.columns)):
        codes = rows.inputs[:, grouping].astype(int)
        for k, was_set in enumerate(rows.intervened.T):
            if _has_slopes(terms, k, grouping):
                continue
            columns = _columns(terms, k, rows)
            where_set, elsewhere = (
                len(columns)
                * min(
                    _p_value(column[own], codes[own], residuals[own] * root[own], root[own], degree)
                    for column in columns
                )
                for own, degree in ((was_set, 0), (~was_set, USUAL_DEGREE))
            )
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


def _p_value(
    column: Array, codes: NDArray[np.int_], residual: Array, root: Array, degree: int
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
    """
    if not len(codes):
        return 1.0
    _, group = np.unique(codes, return_inverse=True)

    def sums(values: Array) -> Array:
        return np.bincount(group, values)

    number, units = sums(np.ones(len(group))), sums(root**2)
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
    score, squares = sums(x * e), (x * e) ** 2
    correction = free * _ratio(number, number - 1)
    variance = correction * sums(squares)
    # Squares of single rows are no evidence of a slope that a group's rows share.
    second = float(np.sum(variance**2 - correction**2 * sums(squares**2)))
    if not second > 0:
        return 1.0
    # A chi-squared variable with the skewness of the sum, shifted and scaled.
    df = second**3 / float(np.sum(variance**3)) ** 2
    z = float(np.sum(score**2 - variance)) / np.sqrt(2 * second)
    return float(chdtrc(df, max(df + z * np.sqrt(2 * df), 0.0)))


def _ratio(value: Array, over: Array) -> Array:
    """Quotient; zero where the denominator is not positive."""
    return np.divide(value, over, out=np.zeros(len(value)), where=over > 0)
