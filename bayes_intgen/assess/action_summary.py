"""Experiments and values of each action in a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, centres, short_label
from bayes_intgen.text.number_format import format_number
from bayes_intgen.text.tables import align_columns

# Maximum number of levels in a cell of the table.
MAX_LEVELS = 6


@dataclass(frozen=True)
class ActionSummary:
    """Experiments on an action and its values, from the rows in memory.

    Attributes
    ----------
    name, state : str
    median : float
        For an action with levels, the nearest code.
    set_range, observed_range : (low, high) or None
        Range of the values where the action was set, and where not; None without such rows.
    set_levels, observed_levels : dict from level to number of rows, or None
        None for an action without levels.
    """

    name: str
    state: str
    median: float
    set_range: tuple[float, float] | None
    observed_range: tuple[float, float] | None
    set_levels: dict[str, int] | None = None
    observed_levels: dict[str, int] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        state: str,
        values: Array,
        was_set: NDArray[np.bool_],
        levels: Categories | None,
    ) -> "ActionSummary":
        """Summarise an action by its values in rows in memory, and where it was set."""
        parts = (values[was_set], values[~was_set])
        counts = [None if levels is None else _counts(part, levels) for part in parts]
        median = centres([_median(values)], [levels])[0]
        set_range, observed_range = map(_range, parts)
        return cls(name, state, median, set_range, observed_range, *counts)


def table_of_actions(actions: Sequence[ActionSummary]) -> tuple[str, ...]:
    """Format a table with a header and a line per action."""
    rows = [
        [
            action.name,
            action.state,
            shorter_number(action.median) if action.set_levels is None else "levels",
            _range_cell(action.set_range, action.set_levels),
            _range_cell(action.observed_range, action.observed_levels),
        ]
        for action in actions
    ]
    head = ["action", "experiments", "median", "where set", "elsewhere"]
    return tuple(align_columns(head, rows, left=2).splitlines())


def shorter_number(value: float, figures: int = 4) -> str:
    """Format a number to few figures.

    Examples
    --------
    >>> shorter_number(2313.0883)
    '2,313'
    """
    return format_number(float(f"{value:.{figures}g}"))


def _median(values: Array) -> float:
    """Median by one partial sort: NumPy's also searches for NaN, in three times as long."""
    middle = len(values) // 2
    ordered = np.partition(values, middle)
    below = ordered[middle] if len(values) % 2 else ordered[:middle].max()
    return float((below + ordered[middle]) / 2)


def _range(values: Array) -> tuple[float, float] | None:
    return (float(values.min()), float(values.max())) if len(values) else None


def _counts(values: Array, levels: Categories) -> dict[str, int]:
    return {
        str(label): int((values == code).sum())
        for label, code in zip(map(short_label, levels.labels), levels.codes, strict=True)
    }


def _range_cell(ends: tuple[float, float] | None, levels: dict[str, int] | None) -> str:
    if ends is None:
        return "no rows"
    if levels is None:
        return " to ".join(map(shorter_number, ends))
    counts = [f"{name} {rows:,}" for name, rows in list(levels.items())[:MAX_LEVELS]]
    return ", ".join(counts) + ", ..." * (len(levels) > MAX_LEVELS)
