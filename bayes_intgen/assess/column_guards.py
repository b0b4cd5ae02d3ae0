"""Guards of columns, before a fit: outcomes whose effects may not add up, and mixed units.

A change of unit, such as grams in some rows and kilograms in others, multiplies values by a factor,
so that the logarithms of a column's sizes have the same distribution twice, a distance apart. The
test rejects that they have one mode: in a unimodal law no interval has fewer values than both of
two intervals of the same width on either side of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations, Rows, random_rows
from bayes_intgen.identification.regimes import masks_of
from bayes_intgen.text.messages import quoted

# Minimum gain in log likelihood per row, and minimum skewness of residuals of the outcome itself.
MIN_GAIN, MIN_SKEWNESS = 0.1, 0.5
# Minimum number of rows of a regime per coefficient of its regression.
MIN_ROWS = 3
# Maximum number of rows from which regressions are estimated.
MAX_ROWS = 20_000
# Minimum share of rows at the lowest or the highest value of an outcome that has a limit there.
END_SHARE = 0.05
# Share of zeros or of ones below which they are rare: probabilities then often multiply.
RARE_SHARE = 0.1
# Distance of the mean from an end of [0, 1], in standard deviations, from which it hardly matters.
FAR_FROM_END = 3.0
# Minimum growth of the ratio of a count's standard deviation to the root of its mean, from the
# lowest to the highest third of fitted means, and its minimum size in standard errors.
MIN_GROWTH, STANDARD_ERRORS = 0.05, 2.5
# Maximum number of rows that are tested.
MAX_TESTED_ROWS = 5_000
# Width of the intervals, in natural logarithms.
WIDTH = 0.5
# Standard errors by which an interval has fewer values than those on either side.
VALLEY_ERRORS = 4.0
# Minimum factor between the groups: in a tenfold change it is estimated as 9.8 to 12. Nearer
# groups are common in sound data.
MIN_FACTOR = 8.0
# Maximum ratio of the interquartile ranges of the logarithms in the groups, and minimum share of
# the smaller one: those of a change of unit are the same.
MAX_RANGES, MIN_SHARE = 2.0, 0.1
# Minimum number of distinct sizes of an action. Fewer are doses or prices, whose gaps are chosen.
MIN_DISTINCT = 15


def advice_on_outcome(data: Rows) -> list[str]:
    """Report an outcome to which effects of several actions may not add up, in one sentence.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> advice_on_outcome(data)
    []
    """
    rows = data.in_memory
    # The effect of a single action needs no sum.
    if len(rows.names) == 1:
        return []
    outcome, kind = rows.outcome, data.outcome_kind
    transform = ""
    if kind == "binary":
        seen = _rare(outcome)
    elif seen := _at_an_end(outcome, kind == "count"):
        pass
    elif seen := _proportion(outcome):
        transform = ", or fit the log odds np.log(y / (1 - y))"
    elif kind == "count":
        sample = rows.take(random_rows(len(rows), MAX_ROWS))
        seen, transform = _growing_variance(sample), ", or fit np.log1p(y)"
    if not seen:
        return []
    several = bool((rows.intervened.sum(axis=1) > 1).any())
    remedy = "test it with bi.check" if several else "add rows in which several actions were set"
    return [
        f"outcome {rows.outcome_name!r} {seen}: effects may not add up, and intervals may be too "
        f"narrow; {remedy}{transform}"
    ]


def _rare(outcome: Array) -> str:
    share = float(outcome.mean())
    rare = min(share, 1 - share)
    return f"is {int(share < 0.5)} in only {rare:.1%} of rows" if rare < RARE_SHARE else ""


def _at_an_end(outcome: Array, counts: bool) -> str:
    """Many rows at the lowest or the highest value; a count is zero for no limit of its scale."""
    low, high = float(outcome.min()), float(outcome.max())
    shares = {"lowest": float((outcome == low).mean()), "highest": float((outcome == high).mean())}
    if counts and low == 0:
        del shares["lowest"]
    end = max(shares, key=lambda side: shares[side])
    if shares[end] < END_SHARE:
        return ""
    # Outcomes that repeat because rows do are no more frequent at an end than elsewhere.
    whole = (outcome == np.floor(outcome)).all()
    if not whole and shares[end] * len(np.unique(outcome)) < 2:
        return ""
    value = low if end == "lowest" else high
    return f"is {value:g}, its {end} value, in {shares[end]:.0%} of rows"


def _proportion(outcome: Array) -> str:
    low, high = float(outcome.min()), float(outcome.max())
    mean, reach = float(outcome.mean()), FAR_FROM_END * float(outcome.std())
    near = low >= 0 and high <= 1 and reach > min(mean, 1 - mean)
    return f"is a proportion, {low:.3g} to {high:.3g}" if near else ""


def _growing_variance(rows: Observations) -> str:
    """Counts whose variance grows faster than their mean, as if effects multiplied.

    The variance of Poisson counts is their mean, to which additive hidden causes add a constant.
    The test compares mean absolute residuals (Glejser 1969) over the root of the mean outcome.
    """
    fits = list(_outcomes_and_residuals(rows))
    if not fits:
        return ""
    outcome, left = (np.concatenate(column) for column in zip(*fits, strict=True))
    thirds = np.array_split(np.argsort(outcome - left, kind="stable"), 3)
    low, high = ((outcome[own].mean(), np.abs(left[own])) for own in (thirds[0], thirds[-1]))
    sizes, errors = zip(
        *(
            (own.mean() / np.sqrt(mean), own.std() / np.sqrt(mean * len(own)))
            for mean, own in (low, high)
        ),
        strict=True,
    )
    if sizes[1] - sizes[0] < max(MIN_GROWTH * sizes[0], STANDARD_ERRORS * np.hypot(*errors)):
        return ""
    ratios = [f"{(own**2).mean() / mean:.2g} times" for mean, own in (low, high)]
    return (
        f"has a variance of {ratios[0]} its mean near {low[0]:.3g} and {ratios[1]} near "
        f"{high[0]:.3g}"
    )


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
    gain, standardised = 0.0, []
    logs = replace(rows, outcome=np.log(rows.outcome))
    for (outcome, raw), (_, of_log) in zip(
        _outcomes_and_residuals(rows), _outcomes_and_residuals(logs), strict=True
    ):
        sds = raw.std(), of_log.std()
        if min(sds) == 0:
            continue
        gain += len(outcome) * np.log(sds[0] / sds[1]) - np.log(outcome).sum()
        standardised.append(raw / sds[0])
    if not standardised:
        return 0.0, 0.0
    every = np.concatenate(standardised)
    return float(gain / len(every)), float(np.mean(every**3))


def _outcomes_and_residuals(rows: Observations) -> Iterator[tuple[Array, Array]]:
    """Outcome and residuals of a quadratic regression in each regime with enough rows."""
    coordinates = [Coordinate.of(column)(column) for column in rows.actions.T]
    z = np.stack(coordinates, axis=1)
    design = np.column_stack([np.ones(len(z)), z, z**2])
    for mask in rows.regimes:
        own = (rows.intervened == mask).all(axis=1)
        if own.sum() >= MIN_ROWS * design.shape[1]:
            outcome = rows.outcome[own]
            coefficients = np.linalg.lstsq(design[own], outcome)[0]
            yield outcome, outcome - design[own] @ coefficients


class TwoUnits(NamedTuple):
    """Groups of values that seem to be in two units.

    Attributes
    ----------
    low, high : float
        Median size in each group, in the column's units.
    share : float
        Share of the rows with the larger sizes.
    """

    low: float
    high: float
    share: float


def advice_on_units(data: Rows) -> list[str]:
    """Report columns in two units, in one sentence.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> advice_on_units(data)
    []
    """
    rows = data.in_memory
    found = dict(_columns_in_two_units(rows.take(random_rows(len(rows), MAX_TESTED_ROWS))))
    if not found:
        return []
    names, (low, high, share) = list(found), next(iter(found.values()))
    first = f" ({names[0]!r}: " if len(names) > 1 else " ("
    return [
        f"{quoted(names)} may mix two units{first}about {low:.3g} in {1 - share:.0%} of rows and "
        f"{high:.3g} in the others, few between): convert them to one unit, or name the cause of "
        "the gap as a covariate"
    ]


def _columns_in_two_units(rows: Observations) -> Iterator[tuple[str, TwoUnits]]:
    """Name and groups of each action and of the outcome in two units."""
    regime = masks_of(rows.intervened)[1]
    levels, smooth = _level_columns(rows), _quadratics(rows)
    for k, (name, own_levels) in enumerate(zip(rows.names, rows.categories, strict=True)):
        # Experiments may set an action to any two ranges.
        free = ~rows.intervened[:, k]
        values = rows.actions[free, k]
        if own_levels is None and len(np.unique(np.abs(values))) >= MIN_DISTINCT:
            known = [column[free] for column in levels]
            found = two_units(values, regime[free], known)
            if found:
                yield name, found
    if rows.outcome_kind != "binary":
        found = two_units(rows.outcome, regime, levels, smooth)
        if found:
            yield rows.outcome_name, found


def two_units(
    values: Array, regime: NDArray[np.intp], levels: Sequence[Array], smooth: Array | None = None
) -> TwoUnits | None:
    """Find two groups of values that a change of unit would make; None if there are not two.

    Parameters
    ----------
    values : ndarray, shape (n,)
    regime : ndarray of int, shape (n,)
    levels : sequence of ndarray, shape (n,)
        Columns of codes that may explain sizes within a regime.
    smooth : ndarray, shape (n, m), optional
        Columns of numbers that may do so.

    Examples
    --------
    >>> values, zeros = np.random.default_rng(0).normal(2.0, size=1000), np.zeros(1000, dtype=int)
    >>> two_units(values, zeros, [])
    >>> values[::2] *= 1000
    >>> two_units(values, zeros, []).share
    0.5
    """
    used = values != 0
    sizes = np.abs(values[used])
    if len(np.unique(sizes)) < 2:
        return None
    left = _within_cells(np.log(sizes))
    known: list[Array] = [column[used] for column in levels]
    left = _residuals(left, regime[used], known, None if smooth is None else smooth[used])
    valley = _valley(left)
    if valley is None:
        return None
    above = left > valley
    groups = left[~above], left[above]
    ranges = sorted(float(np.subtract(*np.quantile(own, [0.75, 0.25]))) for own in groups)
    factor = np.exp(np.median(groups[1]) - np.median(groups[0]))
    share = float(above.mean())
    alike = ranges[1] <= MAX_RANGES * ranges[0]
    if not (alike and factor >= MIN_FACTOR and MIN_SHARE <= share <= 1 - MIN_SHARE):
        return None
    return TwoUnits(float(np.median(sizes[~above])), float(np.median(sizes[above])), share)


def _level_columns(rows: Observations) -> list[Array]:
    """Codes of actions and covariates with levels, and of groups."""
    first = len(rows.columns.names)
    columns = zip(
        (*rows.categories, *rows.columns.categories),
        (*rows.actions.T, *rows.covariates.T[:first]),
        strict=True,
    )
    groups = [
        column
        for i, column in enumerate(rows.covariates.T[first:], first)
        if i != rows.columns.fine_grouping
    ]
    return [column for levels, column in columns if levels is not None] + groups


def _quadratics(rows: Observations) -> Array | None:
    """Coordinates of the numeric actions and their squares."""
    columns = zip(rows.categories, rows.actions.T, strict=True)
    numeric = [Coordinate.of(column)(column) for levels, column in columns if levels is None]
    return np.column_stack([*numeric, *(z**2 for z in numeric)]) if numeric else None


def _within_cells(values: Array) -> Array:
    """Spread equal values evenly at random over the interval that is nearer to them than to others.

    Gaps between the values of a discrete column are then no gaps of its distribution.
    """
    distinct, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = (distinct[1:] + distinct[:-1]) / 2
    ends = np.r_[2 * distinct[0] - middles[0], middles, 2 * distinct[-1] - middles[-1]]
    places = generator(0, "sample", 1).random(len(values))
    spread = ends[which] + np.diff(ends)[which] * places
    return np.where(counts[which] > 1, spread, values)


def _residuals(
    values: Array, regime: NDArray[np.intp], levels: Sequence[Array], smooth: Array | None
) -> Array:
    """Residuals of regressions in each regime, on levels one after the other, then on numbers."""
    left = values.copy()
    for own in (regime == r for r in np.unique(regime)):
        for codes in (np.zeros(len(values)), *levels):
            _, which = np.unique(codes[own], return_inverse=True)
            left[own] -= (np.bincount(which, left[own]) / np.bincount(which))[which]
        if smooth is not None:
            design = smooth[own] - smooth[own].mean(axis=0)
            left[own] -= design @ np.linalg.lstsq(design, left[own])[0]
    return left


def _valley(values: Array) -> float | None:
    """Middle of the interval that has most clearly too few values for one mode; None if none."""
    found, most = None, VALLEY_ERRORS
    # The second histogram is half a width away.
    for offset in (0.0, 0.5):
        place = np.floor(values / WIDTH + offset).astype(int)
        counts = np.bincount(place - place.min())
        sides = np.minimum(np.maximum.accumulate(counts), np.maximum.accumulate(counts[::-1])[::-1])
        errors = (sides - counts) / np.sqrt(np.maximum(sides + counts, 1))
        lowest = int(errors.argmax())
        if errors[lowest] > most:
            found, most = (lowest + place.min() + 0.5 - offset) * WIDTH, errors[lowest]
    return None if found is None else float(found)
