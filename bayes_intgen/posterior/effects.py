"""Effects as a table: means with bands, of the mean and of outcomes, and contrasts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import decoded_table
from bayes_intgen.data.queries import checked_points, named_points
from bayes_intgen.errors import PointsError
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of


def effect_table(
    posterior: PosteriorDraws,
    points: Any,
    intervened: Sequence[str] | None = None,
    *,
    baseline: Any = None,
    level: float = 0.9,
) -> xr.Dataset:
    """The effect at points, each with central bands, and its change from a baseline.

    Parameters
    ----------
    posterior : PosteriorDraws
    points : array_like, shape (M, K), or data frame with a column an action
    intervened : sequence of str, optional
        The actions that are set; all of them where left out.
    baseline : as ``points``, optional
        One point for all, or one for each: the table then has the change from there.
    level : float
        Probability of the bands.

    Returns
    -------
    Dataset, dims (point)
        ``mean``, ``low``, ``high``: of the mean outcome. ``outcome_low``, ``outcome_high``:
        quantiles of an outcome itself, over noise and posterior. ``supported``: whether rows
        near the point identify the effect, as in ``posterior.support``. With a baseline also
        ``change``, ``change_low``, ``change_high``, and ``above_zero``, the probability that
        the change is positive. In the outcome's units. ``value`` and ``baseline``, dims
        (point, action), repeat the question, levels by their names.

    Raises
    ------
    PointsError
        As ``posterior.effect``, and where ``level`` is no probability or there are neither one
        nor as many baselines as points.

    Warns
    -----
    SupportWarning
        As ``posterior.effect``.

    Examples
    --------
    >>> table = effect_table(posterior, [[0.5, 0.5]], baseline=[[0.0, 0.0]])
    >>> bool(table.low < table["mean"]) and bool(table.change_low > 0)
    True
    """
    if not 0 < level < 1:
        raise PointsError(f"level must be a probability between 0 and 1, not {level}")
    names = posterior.actions if intervened is None else tuple(intervened)
    tails = [(1 - level) / 2, (1 + level) / 2]
    names_of, categories = posterior.actions, posterior.categories
    values = checked_points(points, names_of, categories)
    before = None if baseline is None else checked_points(baseline, names_of, categories)
    if before is not None and len(before) not in (1, len(values)):
        raise PointsError(
            f"there are {len(before)} baselines for {len(values)} points; give one, or one for each"
        )
    # One query, so that one warning is about points and baselines.
    everything = values if before is None else np.concatenate([values, before])
    query = support_of(posterior).query(named_points(everything, names_of, categories), names)
    mask = query.mask[: len(values)]
    prediction = prediction_of(posterior)
    draws = prediction.mean(values, mask).reshape(-1, len(values))
    low, high = np.quantile(draws, tails, axis=0)
    outcome_low, outcome_high = prediction.outcome_quantiles(values, mask, tails)
    columns = {
        "mean": draws.mean(axis=0),
        "low": low,
        "high": high,
        "outcome_low": outcome_low,
        "outcome_high": outcome_high,
        "supported": supported(posterior, values, names).all(axis=1),
    }
    both = ("point", "action")
    asked = {"value": (both, decoded_table(values, categories))}
    if before is not None:
        # The difference of the designs is exactly zero where nothing changes.
        terms = posterior.terms
        step = terms.matrix(values, mask) - terms.matrix(before, mask[: len(before)])
        change = (prediction.coefficients @ step.T).reshape(len(draws), -1)
        change_low, change_high = np.quantile(change, tails, axis=0)
        columns |= {
            "change": change.mean(axis=0),
            "change_low": change_low,
            "change_high": change_high,
            "above_zero": (change > 0).mean(axis=0),
        }
        start = np.broadcast_to(before, values.shape)
        asked["baseline"] = (both, decoded_table(start, categories))
    return xr.Dataset(
        {**{name: ("point", column) for name, column in columns.items()}, **asked},
        coords={"point": np.arange(len(values)), "action": list(posterior.actions)},
        attrs={
            "outcome": posterior.outcome_name,
            "intervened": list(names),
            "level": level,
        },
    )


def supported(
    posterior: PosteriorDraws, values: Array, intervened: Sequence[str]
) -> NDArray[np.bool_]:
    """Whether the contribution of each action is supported, shape (M, K), at points (M, K).

    Of a fit that was saved without rows only observed ranges are known.

    Examples
    --------
    >>> supported(posterior, np.array([[0.1, 99.0]]), ["red", "green"])
    array([[ True, False]])
    """
    mask = np.isin(posterior.actions, list(intervened))
    verdict = support_of(posterior).verdict(values, mask)
    if verdict is not None:
        return verdict.needs_met
    terms = posterior.terms
    low, high = np.array([(c.low, c.high) for c in terms.coordinates]).T
    within = (values >= low) & (values <= high)
    for k, levels in enumerate(terms.categories):
        if levels is not None:
            within[:, k] &= levels.covers(values[:, k])
    return np.asarray(within)
