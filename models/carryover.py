"""Carry-over: an action acts for some periods, by geometric adstock (Broadbent 1979).

The effect is a function of the carried-over action, a weighted mean of this and earlier periods of
the same unit with geometric weights, as in Jin et al. (2017). The weights sum to one, so that an
action that is held at a value for as long as it acts is carried over at this value. Biases are
functions of the action of this period, with which hidden causes of this period have moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._arguments import real_number, whole_number
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, Rows, check_enough_rows
from bayes_intgen.errors import DataError, ModelError
from bayes_intgen.identification.regimes import mask_label
from bayes_intgen.text.messages import option, refuse_unknown_actions

# Maximum share of a window's weight on periods without a row, or, for an action that was set, on
# periods in which it was not.
MAX_OTHER_WEIGHT = 0.1
# Largest rate: of a window of eight periods, nearly equal weights.
MAX_RATE = 0.95
# Step of the numerical derivative in the rate.
STEP = 0.01
# Rates and number of periods of means of earlier actions, which tell of hidden causes that persist:
# one of last week's, and one of the last weeks'.
PAST_RATES, PAST_PERIODS = (0.3, 0.7), 8
# Correlation of an action with such a mean, in standard errors, above which it persists.
MIN_CORRELATION = 2.0


@dataclass(frozen=True)
class Adstock:
    """Geometric weights of the periods in which an action acts.

    Attributes
    ----------
    rate : float, optional
        Weight of a period over that of the one after it, from 0 to 0.95; estimated by default.
    delay : int
        Number of periods before the action begins to act.
    length : int
        Number of periods in which it acts.
    sd : float
        Prior standard deviation of the rate; 0 for one that is known.

    Raises
    ------
    ModelError
        If a number is out of range.

    Examples
    --------
    >>> bi.Adstock(rate=0.5, length=3).weights.round(3)
    array([0.571, 0.286, 0.143])
    """

    rate: float | None = None
    delay: int = 0
    length: int = 8
    sd: float = 0.0

    def __post_init__(self) -> None:
        whole_number(self.delay, "delay", 0)
        whole_number(self.length, "length", 1)
        rate = 0.0 if self.rate is None else real_number(self.rate, "rate")
        sd = real_number(self.sd, "sd")
        if not (0 <= rate <= MAX_RATE and sd >= 0):
            raise ModelError(
                f"an adstock needs a rate from 0 to {MAX_RATE} and a positive sd, not {self}"
            )

    @property
    def weights(self) -> Array:
        """Weights of the periods, the latest first, shape (length,)."""
        return self.weights_at(self.rate or 0.0)

    def weights_at(self, rate: float) -> Array:
        """Weights at another rate."""
        return geometric(rate, self.length)


def geometric(rate: float, length: int) -> Array:
    """Geometric weights that sum to one, shape (length,)."""
    weights = rate ** np.arange(length)
    return np.asarray(weights / weights.sum())


class Window(NamedTuple):
    """Rows of the same unit in the periods in which an action acts, for each row.

    Attributes
    ----------
    rows : ndarray of int, shape (length, n)
        Positions of the rows.
    exist : ndarray of bool, shape (length, n)
        Whether there is such a row.
    """

    rows: NDArray[np.intp]
    exist: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Observations, delay: int, length: int) -> Self:
        """Find the rows by their units and times, the latest ``delay`` periods ago.

        Raises
        ------
        DataError
            If rows have no times, or two rows of a unit share one.
        """
        key = _periods(rows)
        order = np.argsort(key)
        wanted = key - delay - np.arange(length)[:, None]
        at = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
        return cls(order[at], key[order][at] == wanted)

    def mean(self, values: Array, weights: Array) -> Array:
        """Weighted mean of the values in the periods with a row, shape (n,)."""
        shares = weights[:, None] * self.exist
        total = shares.sum(axis=0)
        return np.asarray((shares * values[self.rows]).sum(axis=0) / np.where(total > 0, total, 1))


def _periods(rows: Observations) -> NDArray[np.int_]:
    """Number of the period of each row; those of different units are far apart."""
    if rows.time is None or rows.series is None:
        raise DataError(
            "carry-over needs to know which rows follow which: name the columns of their time and "
            f"unit with {option('time')} and {option('unit')}"
        )
    order = np.lexsort([rows.time, rows.series])
    series, time = rows.series[order], rows.time[order]
    steps = np.diff(time)[np.diff(series) == 0]
    if not (steps > 0).all():
        at = int(np.flatnonzero((np.diff(series) == 0) & (np.diff(time) == 0))[0])
        columns = rows.columns
        unit = f" of {columns.labels_of[columns.unit][series[at]]!r}" if columns.unit else ""
        raise DataError(
            f"two rows{unit} have the same {columns.time}, and carry-over needs their order; name "
            f"the column that tells them apart with {option('unit')}, or add them up"
        )
    lengths, counts = np.unique(steps, return_counts=True)
    period = lengths[counts.argmax()] if len(lengths) else 1.0
    number = np.rint((rows.time - rows.time.min()) / period).astype(np.int_)
    return np.asarray(rows.series * 2 * (1 + number.max()) + number)


class Periods(NamedTuple):
    """Periods of rows whose actions are carried over, as of :class:`Observations`.

    Attributes
    ----------
    now, slope : ndarray, shape (n, K)
        Actions of the period of a row, and derivatives of carried-over ones in their rates.
    past : ndarray, shape (n, means, K)
        Means of actions over earlier periods.
    """

    now: Array
    slope: Array
    past: Array

    @classmethod
    def of(cls, rows: Observations) -> Self | None:
        """Periods of rows; None if their actions are those of a single period."""
        if rows.periods is None:
            return None
        each = rows.periods.reshape(len(rows), -1, len(rows.names))
        return cls(each[:, 0], each[:, 1], each[:, 2:])


def carried_over(data: Rows, carryover: Mapping[str, Adstock], worst: float | None = None) -> Rows:
    """Replace actions by carried-over ones, without rows whose windows say too little.

    Those are rows with more than ``MAX_OTHER_WEIGHT`` of the weight on periods without a row, and
    rows of an experiment with as much on periods in which the action was not set: what hidden
    causes did then would pass for an effect. Rows that are carried over already stay as they are.

    Raises
    ------
    ModelError
        On unknown actions, and on actions with named levels.
    DataError
        If the rows are not in memory, have no order, or none of an experiment is left.
    """
    if not carryover or (isinstance(data, Observations) and data.periods is not None):
        return data
    refuse_unknown_actions(carryover, data.names, ModelError, "carryover: ")
    if not isinstance(data, Observations):
        raise DataError(
            "carry-over needs the rows of a unit together: "
            + option("read them with RegimeData.from_frame", command="save the file as CSV")
        )
    actions, slope = data.actions.copy(), np.zeros(data.actions.shape)
    past, earlier = np.zeros((len(PAST_RATES), *slope.shape)), Window.of(data, 1, PAST_PERIODS)
    usable, categories = np.ones(len(data), dtype=bool), list(data.categories)
    for name, adstock in carryover.items():
        k = data.names.index(name)
        levels, categories[k] = categories[k], None
        if levels is not None and not levels.numeric:
            raise ModelError(f"carryover: action {name!r} has named levels, which have no mean")
        window, values = Window.of(data, adstock.delay, adstock.length), data.actions[:, k]
        actions[:, k], slope[:, k] = _carried(window, values, adstock)
        for mean, rate in zip(past, PAST_RATES, strict=True):
            mean[:, k] = earlier.mean(values, geometric(rate, PAST_PERIODS))
        if worst is None:
            usable &= _is_usable(window, data.intervened[:, k], adstock.weights)
        else:
            usable &= _is_usable(window, np.zeros(len(data), bool), adstock.weights_at(worst))
    periods = np.concatenate([data.actions, slope, *past], axis=1)
    carried = replace(
        data.take(usable),
        actions=actions[usable],
        periods=periods[usable],
        categories=tuple(categories),
        left_out=int((~usable).sum()),
    )
    for mask in data.regimes:
        if mask not in carried.regimes:
            raise DataError(
                f"no row of {mask_label(data.names, mask)} has a window in which its actions were "
                f"set throughout; hold them for longer, or give a shorter length in carryover"
            )
    check_enough_rows(carried)
    return carried


def _carried(window: Window, values: Array, adstock: Adstock) -> tuple[Array, Array]:
    """Carried-over action, shape (n,), and its derivative in the rate, in units of its sd."""
    carried, rate = window.mean(values, adstock.weights), adstock.rate or 0.0
    if not adstock.sd:
        return carried, np.zeros(len(carried))
    ends = np.clip([rate - STEP, rate + STEP], 0.0, MAX_RATE)
    before, after = (window.mean(values, adstock.weights_at(end)) for end in ends.tolist())
    return carried, (after - before) / np.ptp(ends) * adstock.sd


def _is_usable(window: Window, was_set: NDArray[np.bool_], weights: Array) -> NDArray[np.bool_]:
    """Whether little of the weight of a row's window is on other periods, shape (n,)."""
    of_kind = window.exist & (was_set[window.rows] | ~was_set)
    return np.asarray(1 - weights @ of_kind <= MAX_OTHER_WEIGHT)


def persists(rows: Observations, k: int) -> bool:
    """Whether an action that was not set depends on its earlier periods.

    Then hidden causes that move it may persist, and its earlier periods tell of them. Its bias is a
    function of these, too: they would pass for carry-over otherwise.
    """
    periods = Periods.of(rows)
    if periods is None:
        return False
    free = ~rows.intervened[:, k]
    now, past = periods.now[free, k], periods.past[free, 0, k]
    if not now.std() * past.std():
        return False
    return bool(abs(np.corrcoef(now, past)[0, 1]) * np.sqrt(free.sum()) > MIN_CORRELATION)
