"""Contrasts of a report: effects of the default changes of each action, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.posterior.defaults import levels_of
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of
from bayes_intgen.posterior.effects import effect_table, supported
from bayes_intgen.report.values import named_values, probability_text, value_text
from bayes_intgen.text.number_format import decimals_for, format_interval, format_to_uncertainty


@dataclass(frozen=True)
class Contrast:
    """Effect of a change of one action, or of all, in words and along a common axis."""

    name: str
    start: str
    end: str
    change: str
    band: str
    above_zero: str
    supported: bool
    # Percentages along the axis.
    low: float
    high: float
    middle: float


def contrasts_of(
    posterior: PosteriorDraws,
    default: Array,
    low: Array,
    high: Array,
    level: float,
    over: Mapping[str, Any],
) -> tuple[list[Contrast], float]:
    """Effects of the default changes, one action at a time and together, and zero on the axis."""
    starts = np.tile(default, (len(low), 1))
    ends = starts.copy()
    np.fill_diagonal(starts, low)
    np.fill_diagonal(ends, high)
    starts, ends = np.concatenate([starts, [low]]), np.concatenate([ends, [high]])
    baseline = named_values(posterior, starts)
    table = effect_table(
        posterior, named_values(posterior, ends), baseline=baseline, level=level, **over
    )
    within = [
        supported(posterior, points, posterior.actions).all(axis=1) for points in (starts, ends)
    ]
    labels = [*_changes(posterior, low, high), ("all of them", "each", "as above")]
    return _formatted(table, labels, within[0] & within[1], prediction_of(posterior).sd.size)


def changes_in_words(
    posterior: PosteriorDraws, default: Array, low: Array, high: Array
) -> list[tuple[str, str, Array, Array]]:
    """Name, words, start and end of the change of each action, the others at the default."""
    out = []
    for k, (name, before, after) in enumerate(_changes(posterior, low, high)):
        start, end = default.copy(), default.copy()
        start[k], end[k] = low[k], high[k]
        out.append((name, f"{name} from {before} to {after}", start, end))
    return out


def _changes(posterior: PosteriorDraws, low: Array, high: Array) -> list[tuple[str, str, str]]:
    """Name, start and end of the change of each action."""
    columns = zip(
        posterior.actions, posterior.terms.coordinates, levels_of(posterior), low, high, strict=True
    )
    return [
        (name, value_text(a, c, levels), value_text(b, c, levels))
        for name, c, levels, a, b in columns
    ]


def _formatted(
    table: xr.Dataset, labels: list[tuple[str, str, str]], supported: NDArray[np.bool_], draws: int
) -> tuple[list[Contrast], float]:
    """Format contrasts with a common number of decimals, and place them on a common axis."""
    change, lows, highs, above = (
        table[name].to_numpy() for name in ("change", "change_low", "change_high", "above_zero")
    )
    start_of_axis, end_of_axis = min(0.0, lows.min()), max(0.0, highs.max())
    length = (end_of_axis - start_of_axis) or 1.0
    decimals = decimals_for(float(np.median(highs - lows)))

    def percentage(value: float) -> float:
        return float(100 * (value - start_of_axis) / length)

    return [
        Contrast(
            name=name,
            start=start,
            end=end,
            change=format_to_uncertainty(float(change[k]), decimals, sign=True),
            band=format_interval(lows[k], highs[k], decimals, sign=True),
            above_zero=probability_text(float(above[k]), draws),
            supported=bool(supported[k]),
            low=percentage(lows[k]),
            high=percentage(highs[k]),
            middle=percentage(change[k]),
        )
        for k, (name, start, end) in enumerate(labels)
    ], percentage(0.0)
