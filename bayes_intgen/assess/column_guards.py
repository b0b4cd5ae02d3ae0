"""Guards of columns, before a fit: outcomes whose effects may not add up, and mixed units.

A change of unit, such as grams in some rows and kilograms in others, multiplies values by a factor,
so that the logarithms of a column's sizes have the same distribution twice, a distance apart. The
test rejects that they have one mode: in a unimodal law no interval has fewer values than both of
two intervals of the same width on either side of it.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations, Rows, random_rows
from bayes_intgen.identification.regimes import masks_of
from bayes_intgen.text.formats import format_number, shorter_number
from bayes_intgen.text.messages import in_both, option, quoted

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
# Standard errors by which the variance of counts grows faster than their mean, or is below it.
STANDARD_ERRORS = 2.5
# Smallest fitted mean of counts in a regime, relative to their mean there.
LEAST_MEAN = 0.25
# Maximum number of values of a scale, such as 0 to 10.
MAX_SCALE = 11
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


def advice_on_outcome(data: Rows) -> Iterator[str]:
    """Report an outcome to which effects of several actions may not add up, in one sentence.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> list(advice_on_outcome(data))
    []
    """
    rows = data.in_memory
    # The effect of a single action needs no sum.
    if len(rows.names) == 1:
        return
    outcome, kind = rows.outcome, data.outcome_kind
    seen = transform = ""
    if kind == "binary":
        share = float(outcome.mean())
        rare = min(share, 1 - share)
        if rare < RARE_SHARE:
            seen = f"is {int(share < 0.5)} in only {rare:.1%} of rows"
    elif seen := _at_an_end(outcome, kind == "count") or _scale(outcome, kind == "count"):
        pass
    elif seen := _proportion(outcome):
        transform = ", or fit the log odds, log(y / (1 - y))"
    elif kind == "count":
        sample = rows.take(random_rows(len(rows), MAX_ROWS))
        seen, transform = _growing_variance(sample), ", or fit log(1 + y)"
    if seen:
        remedy = "add rows in which several actions were set"
        if (rows.intervened.sum(axis=1) > 1).any():
            remedy = f"test it with {in_both('bi.check', '`bayes-intgen check`')}"
        yield (
            f"outcome {rows.outcome_name!r} {seen}: effects may not add up, and intervals may be "
            f"too narrow; {remedy}{transform}"
        )


def _at_an_end(outcome: Array, counts: bool) -> str:
    """Many rows at the lowest or the highest value; a count is zero for no limit of its scale."""
    ends = {"lowest": float(outcome.min()), "highest": float(outcome.max())}
    if counts and ends["lowest"] == 0:
        del ends["lowest"]
    shares = {end: float((outcome == value).mean()) for end, value in ends.items()}
    end = max(shares, key=shares.__getitem__)
    # Outcomes that repeat because rows do are no more frequent at an end than elsewhere.
    whole = (outcome == np.floor(outcome)).all()
    if shares[end] < END_SHARE or not (whole or shares[end] * len(np.unique(outcome)) >= 2):
        return ""
    return f"is {format_number(ends[end])}, its {end} value, in {shares[end]:.0%} of rows"


def _proportion(outcome: Array) -> str:
    low, high = float(outcome.min()), float(outcome.max())
    mean, reach = float(outcome.mean()), FAR_FROM_END * float(outcome.std())
    near = low >= 0 and high <= 1 and reach > min(mean, 1 - mean)
    return f"is a proportion, {shorter_number(low, 3)} to {shorter_number(high, 3)}" if near else ""


def _scale(outcome: Array, counts: bool) -> str:
    """Few whole numbers, as on a scale; counts of any number vary at least as chance does."""
    values = np.unique(outcome)
    if len(values) > MAX_SCALE or (values != np.floor(values)).any():
        return ""
    chance = outcome.mean() * (1 - STANDARD_ERRORS * np.sqrt(2 / len(outcome)))
    if len(values) < 3 or (counts and outcome.var() > chance):
        return ""
    return f"is one of {len(values)} whole numbers"


def _growing_variance(rows: Observations) -> str:
    """Counts whose variance grows faster than their mean, as if effects multiplied.

    The variance of Poisson counts is their mean, to which additive hidden causes add a constant.
    Squared residuals less counts are therefore regressed on fitted means within regimes (Cameron
    and Trivedi 1990), rows weighted by the Poisson variance of a square, with robust errors.
    """
    moment = curvature = variance = 0.0
    for own, left in _residuals_of_regimes(rows, rows.outcome):
        outcome = rows.outcome[own]
        if not outcome.any():
            continue
        # Fitted means may be negative, and no row should decide alone.
        mean = np.maximum(outcome - left, LEAST_MEAN * outcome.mean())
        weight = mean**-2.0
        excess = left**2 - outcome
        centred = weight * (mean - np.average(mean, weights=weight))
        moment += centred @ excess
        curvature += centred @ mean
        variance += (centred**2) @ (excess - np.average(excess, weights=weight)) ** 2
    if not variance > 0 or moment < STANDARD_ERRORS * np.sqrt(variance):
        return ""
    return f"has a variance that grows {1 + moment / curvature:.2g} times as fast as its mean"


def advice_on_scale(rows: Observations) -> Iterator[str]:
    """Suggest the multiplicative model for an outcome that it fits better; empty otherwise.

    Examples
    --------
    >>> list(advice_on_scale(data))
    []
    """
    outcome = rows.outcome
    continuous = rows.outcome_kind == "continuous" and rows.weights is None
    if not continuous or not (outcome > 0).all():
        return
    gain, standardised = 0.0, [np.zeros(0)]
    pairs = zip(
        _residuals_of_regimes(rows, outcome),
        _residuals_of_regimes(rows, np.log(outcome)),
        strict=True,
    )
    for (own, raw), (_, of_log) in pairs:
        sds = raw.std(), of_log.std()
        if min(sds) > 0:
            # Of the outcome itself, so that likelihoods are comparable (Box and Cox 1964).
            gain += len(raw) * np.log(sds[0] / sds[1]) - np.log(outcome[own]).sum()
            standardised.append(raw / sds[0])
    every = np.concatenate(standardised)
    if len(every) and gain >= MIN_GAIN * len(every) and (every**3).mean() >= MIN_SKEWNESS:
        remedy = option(
            "fit bi.models.multiplicative(), and compare it with the additive model by az.compare.",
            command="fit with --multiplicative.",
        )
        yield (
            "Positive and skewed; quadratic regressions fit its logarithm better. If effects "
            f"multiply, {remedy}"
        )


def _residuals_of_regimes(
    rows: Observations, outcome: Array
) -> Iterator[tuple[NDArray[np.bool_], Array]]:
    """Rows and residuals of a quadratic regression in each regime with enough rows."""
    regime, smooth = masks_of(rows.intervened)[1], _quadratics(rows.actions.T)
    left = _residuals(outcome, regime, [], smooth)
    for own in (regime == r for r in np.unique(regime)):
        if own.sum() >= MIN_ROWS * (1 + len(smooth)):
            yield own, left[own]


def advice_on_units(data: Rows) -> Iterator[str]:
    """Report columns in two units, in one sentence.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> list(advice_on_units(data))
    []
    """
    rows = data.in_memory.take(random_rows(len(data.in_memory), MAX_TESTED_ROWS))
    regime, count = masks_of(rows.intervened)[1], len(rows.columns.names)
    # Codes of actions and covariates with levels, and of groups.
    kinds = (*rows.categories, *rows.columns.categories)
    columns = (*rows.actions.T, *rows.covariates.T[:count])
    levels = [column for own, column in zip(kinds, columns, strict=True) if own is not None]
    groups = enumerate(rows.covariates.T[count:], count)
    levels += [column for i, column in groups if i != rows.columns.fine_grouping]
    smooth = [k for k, own in enumerate(rows.categories) if own is None]
    found: dict[str, tuple[float, float, float]] = {}
    for k in smooth:
        # Experiments may set an action to any two ranges.
        free = ~rows.intervened[:, k]
        values = rows.actions[free, k]
        if len(np.unique(np.abs(values))) >= MIN_DISTINCT:
            units = two_units(values, regime[free], [column[free] for column in levels])
            found |= {rows.names[k]: units} if units else {}
    if rows.outcome_kind != "binary":
        units = two_units(rows.outcome, regime, levels, _quadratics(rows.actions.T[smooth]))
        found |= {rows.outcome_name: units} if units else {}
    if found:
        names, (low, high, share) = list(found), next(iter(found.values()))
        first = f"{names[0]!r}: " if len(names) > 1 else ""
        yield (
            f"{quoted(names)} may mix two units ({first}about {shorter_number(low, 3)} in "
            f"{1 - share:.0%} of rows and {shorter_number(high, 3)} in the others, few between): "
            "convert them to one unit, or name the cause of the gap as a covariate"
        )


def two_units(
    values: Array, regime: NDArray[np.intp], levels: Sequence[Array], smooth: Sequence[Array] = ()
) -> tuple[float, float, float] | None:
    """Find two groups of values that a change of unit would make; None if there are not two.

    Parameters
    ----------
    values : ndarray, shape (n,)
    regime : ndarray of int, shape (n,)
    levels : sequence of ndarray, shape (n,)
        Columns of codes that may explain sizes within a regime.
    smooth : sequence of ndarray, shape (n,), optional
        Columns of numbers that may do so.

    Returns
    -------
    low, high : float
        Median size in each group, in the column's units.
    share : float
        Share of the rows with the larger sizes.

    Examples
    --------
    >>> values, zeros = np.random.default_rng(0).normal(2.0, size=1000), np.zeros(1000, dtype=int)
    >>> two_units(values, zeros, [])
    >>> values[::2] *= 1000
    >>> two_units(values, zeros, [])[2]
    0.5
    """
    used = values != 0
    sizes = np.abs(values[used])
    if len(np.unique(sizes)) < 2:
        return None
    known, numbers = ([column[used] for column in own] for own in (levels, smooth))
    left = _residuals(_within_cells(np.log(sizes)), regime[used], known, numbers)
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
    return float(np.median(sizes[~above])), float(np.median(sizes[above])), share


def _quadratics(columns: Iterable[Array]) -> list[Array]:
    """Coordinates of columns and their squares."""
    z = [Coordinate.of(column)(column) for column in columns]
    return [*z, *[own**2 for own in z]]


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
    values: Array, regime: NDArray[np.intp], levels: Sequence[Array], smooth: Sequence[Array]
) -> Array:
    """Residuals of regressions in each regime, on levels one after the other, then on numbers."""
    left = values.copy()
    for own in [regime == r for r in np.unique(regime)]:
        for codes in (np.zeros(len(values)), *levels):
            _, which = np.unique(codes[own], return_inverse=True)
            left[own] -= (np.bincount(which, left[own]) / np.bincount(which))[which]
        if smooth:
            design = np.column_stack(smooth)[own]
            design -= design.mean(axis=0)
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
