"""Defaults of decisions, pictures and reports: levels, a usual point, and supported changes."""

from collections.abc import Iterator

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import MAX_DISTINCT, Categories
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.posterior.draws import PosteriorDraws, support_of
from bayes_intgen.text.formats import decimals_for

# Upper quartile of a normal distribution, in standard deviations.
NORMAL_QUARTILE = 0.6745
# Candidate values for the ends of an action's change.
N_CANDIDATES = 41
# Rows per batch in the search for a supported point.
BATCH_ROWS = 200
# Maximum distance from the medians along one action, in its coordinate.
MAX_GAP = 10.0
# Monte Carlo sample size of the supported share of the experiments' range.
N_SUPPORT_POINTS = 500


def varied(point: Array, actions: int | list[int], values: Array) -> Array:
    """Copies of a point with an action, or several, at each of some values, shape (M, K).

    Examples
    --------
    >>> varied(np.array([1.0, 2.0]), 0, np.array([5.0, 6.0]))
    array([[5., 2.],
           [6., 2.]])
    """
    out = np.tile(point, (len(values), 1))
    out[:, actions] = values
    return out


def levels_of(posterior: PosteriorDraws) -> tuple[Categories | None, ...]:
    """Levels of each action, those of numeric actions with few distinct values included.

    Returns
    -------
    tuple of Categories or None, length K
        None for an action with more than six distinct values.

    Examples
    --------
    >>> levels_of(posterior)
    (None, None)
    """
    rows = np.concatenate(support_of(posterior).reference.rows)
    out: list[Categories | None] = []
    for levels, column in zip(posterior.categories, rows.T, strict=True):
        values = np.unique(column)
        few = levels is None and len(values) <= MAX_DISTINCT
        out.append(Categories.of_numbers(values.tolist()) if few else levels)
    return tuple(out)


def default_point(posterior: PosteriorDraws) -> Array:
    """Usual values of the actions, at which decisions, sliders and pictures start, shape (K,).

    The supported observational row nearest to the medians of these rows, and to their most frequent
    levels. Any supported row where no observational one is, and the nearest row where none is.
    Rounded to about a hundredth of an action's spread, if that is supported. Levels by their codes.

    Examples
    --------
    >>> bool(support_of(posterior).supported(default_point(posterior)[None]))
    True
    """
    support, levels = support_of(posterior), levels_of(posterior)
    reference = support.reference
    every, usual = np.concatenate(reference.rows), usual_rows(reference)
    middle = np.array([_middle(own, of) for own, of in zip(usual.T, levels, strict=True)])
    for rows in (usual, every):
        for nearest in _by_distance(reference, rows, middle):
            supported = support.supported(nearest)
            if supported.any():
                found = np.asarray(nearest[supported.argmax()])
                columns = zip(found, levels, posterior.terms.coordinates, strict=True)
                rounded = np.array([_plain(*column) for column in columns])
                return rounded if support.supported(rounded[None])[0] else found
    return np.asarray(next(_by_distance(reference, usual, middle))[0])


def usual_rows(reference: ReferenceRows) -> Array:
    """Observational reference rows, or all where no rows are observational, shape (n, K)."""
    regimes = zip(reference.rows, reference.masks, strict=True)
    every = np.concatenate(reference.rows)
    observed = np.concatenate([every[:0], *(rows for rows, mask in regimes if not any(mask))])
    return observed if len(observed) else every


def typical_point(posterior: PosteriorDraws, *, of_means: bool) -> Array:
    """Means or medians of the actions over the observational rows, shape (K,); modes of levels.

    Examples
    --------
    >>> typical_point(posterior, of_means=True).shape
    (2,)
    """
    columns = zip(usual_rows(support_of(posterior).reference).T, posterior.categories, strict=True)
    return np.array(
        [
            float(own.mean()) if levels is None and of_means else _middle(own, levels)
            for own, levels in columns
        ]
    )


def _plain(value: float, levels: Categories | None, coordinate: Coordinate) -> float:
    """Round a value of an action without levels to about a hundredth of its spread."""
    if levels is not None:
        return value
    rounded = np.round(value, decimals_for(coordinate.spread))
    return float(np.clip(rounded, coordinate.low, coordinate.high))


def default_changes(posterior: PosteriorDraws, point: Array) -> tuple[Array, Array]:
    """Two values of each action to compare, both supported if possible.

    The change of an action with levels runs from the first to the last supported one; that of an
    action set to few values from the lowest to the highest of them; that of any other action over
    the supported part of the middle half of its values. Support is ignored where fewer than two
    values are supported.

    Parameters
    ----------
    posterior : PosteriorDraws
    point : ndarray, shape (K,)
        Values at which the other actions are fixed.

    Returns
    -------
    low, high : ndarray, shape (K,)

    Examples
    --------
    >>> low, high = default_changes(posterior, default_point(posterior))
    >>> bool((low < high).all())
    True
    """
    ends = [_ends(posterior, point, k, levels) for k, levels in enumerate(levels_of(posterior))]
    low, high = np.array(ends).T
    return low, high


def usual_range(coordinate: Coordinate) -> tuple[float, float]:
    """Range of about the middle half of the rows, symmetric about the median within the data.

    Examples
    --------
    >>> low, high = usual_range(posterior.terms.coordinates[0])
    >>> low < posterior.terms.coordinates[0].centre < high
    True
    """
    reach = NORMAL_QUARTILE * coordinate.spread
    return (
        max(coordinate.low, coordinate.centre - reach),
        min(coordinate.high, coordinate.centre + reach),
    )


def share_supported(posterior: PosteriorDraws) -> float:
    """Supported share of joint points, with each action sampled from its own experiments.

    Actions are sampled independently of each other, from the rows in which they were set, or from
    all rows if they never were.

    Examples
    --------
    >>> 0.5 < share_supported(posterior) <= 1
    True
    """
    support, rng = support_of(posterior), generator(0, "support")
    points = [
        rng.choice(support.reference.values_set(k, or_all=True), N_SUPPORT_POINTS)
        for k in range(len(posterior.actions))
    ]
    return float(support.supported(np.stack(points, axis=1)).mean())


def _middle(values: Array, levels: Categories | None) -> float:
    """Median, or the most frequent level."""
    if levels is None:
        return float(np.median(values))
    distinct, counts = np.unique(values, return_counts=True)
    return float(distinct[counts.argmax()])


def _by_distance(reference: ReferenceRows, rows: Array, point: Array) -> Iterator[Array]:
    """Yield distinct rows in batches, the nearest to a point first."""
    rows = np.unique(rows, axis=0)
    gaps = np.minimum(np.abs(reference.placed(rows) - reference.placed(point[None])), MAX_GAP)
    order = np.argsort((gaps**2).sum(axis=1), kind="stable")
    for start in range(0, len(rows), BATCH_ROWS):
        yield rows[order[start : start + BATCH_ROWS]]


def _ends(
    posterior: PosteriorDraws, point: Array, k: int, levels: Categories | None
) -> tuple[float, float]:
    """Ends of the default change of one action, the others fixed at a point."""
    coordinate, support = posterior.terms.coordinates[k], support_of(posterior)
    if levels is not None:
        candidates = [np.array(levels.codes)]
    else:
        few = np.unique(support.reference.values_set(k))
        ranges = usual_range(coordinate), (coordinate.low, coordinate.high)
        usual, every = (_rounded(coordinate, ends) for ends in ranges)
        candidates = [few if 1 < len(few) <= MAX_DISTINCT else usual, every]
    for values in candidates:
        supported = values[support.supported(varied(point, k, values))]
        if len(supported) > 1:
            return float(supported[0]), float(supported[-1])
    return float(candidates[0][0]), float(candidates[0][-1])


def _rounded(coordinate: Coordinate, ends: tuple[float, float]) -> Array:
    """Values between two ends, rounded to about a hundredth of the action's spread."""
    values = np.linspace(*ends, N_CANDIDATES).round(decimals_for(coordinate.spread) + 1)
    return np.unique(np.clip(values, coordinate.low, coordinate.high))
