"""Coordinates of line charts with bands, for a template that draws them as SVG.

The template escapes all names and labels of users.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import numpy as np
from matplotlib.dates import AutoDateFormatter, AutoDateLocator, num2date
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Label, short_label
from bayes_intgen.plots.bands import HATCHES, intervals_of
from bayes_intgen.posterior.draws import tails_of
from bayes_intgen.text.formats import format_number

WIDTH, HEIGHT = 320, 200
RIGHT, TOP, BOTTOM = 10, 8, 26
# Width of a character in a label, and minimum width of labels, in pixels.
CHARACTER_WIDTH, MIN_LEFT = 6.8, 40
# Maximum number of dates along an axis; with fewer, Matplotlib has no step for two years.
MAX_DATES = 5
# Half the distance of two curves at a level: share of the level's width, and maximum in pixels.
HALF_GAP_SHARE, MAX_HALF_GAP = 0.14, 9.0


@dataclass(frozen=True)
class Tick:
    """A position along an axis, in pixels, and its label."""

    at: float
    label: str
    # The full label, if it is shortened.
    whole: str = ""


@dataclass(frozen=True)
class Curve:
    """A curve with bands around it, widest first.

    Attributes
    ----------
    kind : str
        Class of the line; the bands have ``kind + "-band"``.
    middle : ndarray, shape (n,)
    bands : sequence of (low, high)
        Each of shape (n,).
    """

    kind: str
    middle: Array
    bands: Sequence[tuple[Array, Array]]

    @classmethod
    def of_draws(cls, kind: str, draws: Array, levels: Sequence[float]) -> Self:
        """Mean and central bands of draws, shape (..., n)."""
        flat = draws.reshape(-1, draws.shape[-1])
        ends = [np.quantile(flat, tails_of(own), axis=0) for own in sorted(levels, reverse=True)]
        return cls(kind, flat.mean(axis=0), [(low, high) for low, high in ends])


def draw(
    along: Array,
    curves: Sequence[Curve],
    y_range: tuple[float, float],
    why: NDArray[np.str_],
    *,
    labels: Sequence[Label] | None = None,
    usual: tuple[float, float] | None = None,
    dates: bool = False,
) -> dict[str, Any]:
    """Draw curves over the same values, shape (n,), or at levels points with vertical intervals.

    Parameters
    ----------
    y_range : (float, float)
        Shared by charts that are compared.
    why : ndarray of str, shape (n,)
        Why rows do not identify the effect; empty where they do.
    labels : sequence, length n, optional
        Labels of the values, if they are levels: these are evenly spaced, curves side by side.
    usual : (float, float), optional
        Ends of the usual range of the action.
    dates : bool
        Whether values are days since 1970.

    Returns
    -------
    dict
        Of a chart of 320 by 200 pixels: ``left``, the position of the vertical axis, the same for
        charts of the same range; ``x_ticks`` and ``y_ticks``; ``marks``, pairs of a path and its
        class in the style sheet, from back to front; ``zero``, its position, None if it is outside;
        ``usual``, the ends of the usual range, None for levels and covariates; and ``beyond``, the
        unsupported intervals: why, and their ends.

    Examples
    --------
    >>> curve = Curve("set", np.array([1.0, 2.0]), [(np.zeros(2), np.full(2, 3.0))])
    >>> levels, why = np.arange(2.0), np.array(["", "outside the rows"])
    >>> chart = draw(levels, [curve], (0.0, 3.0), why, labels=["off", "on"])
    >>> [tick.label for tick in chart["x_ticks"]], [words for words, *_ in chart["beyond"]]
    (['off', 'on'], ['outside the rows'])
    """
    low, high = _with_ticks(y_range)
    texts = {v: format_number(v) for v in ticks(low, high, 5)}
    left = max(MIN_LEFT, round(10 + CHARACTER_WIDTH * max(map(len, texts.values()))))
    y = scale(low, high, HEIGHT - BOTTOM, TOP)
    marks: list[tuple[str, str]] = []
    middle_half = None
    if labels is None:
        first, last = float(along[0]), float(along[-1])
        x, at = scale(first, last, left, WIDTH - RIGHT), ticks(first, last, 4)
        names = date_labels(first, last) if dates else {v: format_number(v) for v in at}
        x_ticks = [Tick(float(x(value)), name) for value, name in names.items()]
        for curve in curves:
            for lower, upper in curve.bands:
                there, back = _points(x(along), y(lower)), _points(x(along)[::-1], y(upper)[::-1])
                marks.append((f"M{there}L{back}Z", f"{curve.kind}-band"))
        marks += [(f"M{_points(x(along), y(curve.middle))}", curve.kind) for curve in curves]
        ends = {words: x(np.array(intervals_of(along, why == words))) for words in HATCHES}
        middle_half = None if usual is None else (float(x(usual[0])), float(x(usual[1])))
    else:
        width = (WIDTH - RIGHT - left) / len(labels)
        centres = left + width * (np.arange(len(labels), dtype=np.float64) + 0.5)
        gap = min(HALF_GAP_SHARE * width, MAX_HALF_GAP)
        for i, curve in enumerate(curves):
            beside = centres + gap * (2 * i - len(curves) + 1)
            for kind, (lower, upper) in zip(("range", "inner"), curve.bands, strict=False):
                bars = zip(beside, y(lower), y(upper), strict=True)
                path = "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in bars)
                marks.append((path, f"{curve.kind}-{kind}"))
            dots = zip(beside, y(curve.middle), strict=True)
            marks.append(("".join(f"M{a:.1f} {b:.1f}h0" for a, b in dots), f"{curve.kind}-dot"))
        room, short = max(int(width / CHARACTER_WIDTH), 2), map(short_label, labels)
        at_levels = zip(centres.tolist(), short, strict=True)
        x_ticks = [Tick(at, shortened(name, room), name) for at, name in at_levels]
        half = np.array([-width / 2, width / 2])
        ends = {words: centres[why == words][:, None] + half for words in HATCHES}
    return {
        "left": left,
        "x_ticks": x_ticks,
        "y_ticks": [Tick(float(y(value)), text) for value, text in texts.items()],
        "marks": marks,
        "zero": float(y(0.0)) if low < 0 < high else None,
        "usual": middle_half,
        "beyond": [(words, *map(float, own)) for words, every in ends.items() for own in every],
    }


def common_range(curves: Sequence[Curve]) -> tuple[float, float]:
    """Compute the smallest range that contains all curves."""
    lines = [line for own in curves for line in (own.middle, *chain.from_iterable(own.bands))]
    return float(min(map(np.min, lines))), float(max(map(np.max, lines)))


def shortened(text: str, max_length: int) -> str:
    """Cut a text to a number of characters, the last of which is then an ellipsis.

    Examples
    --------
    >>> shortened("placebo", 4)
    'pla…'
    """
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def scale(low: float, high: float, start: float, end: float) -> Callable[[Any], Any]:
    """Linear map of a range to pixels from ``start`` to ``end``.

    Examples
    --------
    >>> scale(0.0, 2.0, 10.0, 110.0)(1.0)
    60.0
    """
    return lambda values: start + (values - low) / (high - low) * (end - start)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round values within a range, at most about ``count``.

    Examples
    --------
    >>> ticks(0.1, 1.3, 3)
    [0.5, 1.0]
    """
    locator = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10])
    slack = 1e-9 * (high - low)
    return [float(v) for v in locator.tick_values(low, high) if low - slack <= v <= high + slack]


def date_labels(low: float, high: float) -> dict[float, str]:
    """Round dates within a range of days since 1970.

    Examples
    --------
    >>> list(date_labels(19358.0, 19723.0).values())
    ['2023-01', '2023-04', '2023-07', '2023-10', '2024-01']
    """
    locator = AutoDateLocator(minticks=2, maxticks=MAX_DATES)
    written = AutoDateFormatter(locator)
    at = locator.tick_values(*map(num2date, (low, high)))
    return {float(value): written(value) for value in at if low <= value <= high}


def _with_ticks(y_range: tuple[float, float]) -> tuple[float, float]:
    """Extend a range to the next ticks."""
    low, high = y_range
    if not high > low:
        low, high = low - (abs(low) or 1.0), high + (abs(high) or 1.0)
    at = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return min(low, float(at[0])), max(high, float(at[-1]))


def _points(x: Array, y: Array) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
