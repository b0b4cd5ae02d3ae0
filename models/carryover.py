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
from bayes_intgen.text.messages import option, refuse_unknown_actions

# Maximum share of a window's weight on periods without a row, or, for an action that was set, on
# periods in which it was not.
MAX_OTHER_WEIGHT = 0.1
# Largest rate: of a window of eight periods, nearly equal weights.
MAX_RATE = 0.95
# Step of the numerical derivative in the rate, and a rate that is not known yet.
STEP, START = 0.01, 0.3
# Number of periods between the last row of a unit and the first one of another: beyond any window.
FAR = 1_000_000
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
        """Weights of the periods, the latest first, shape (length,); some if the rate is open."""
        return self.weights_at(START if self.rate is None else self.rate)

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
    def of(cls, number: NDArray[np.int_], delay: int, length: int) -> Self:
        """Find the rows by the numbers of their periods, the latest ``delay`` periods ago."""
        order = np.argsort(number)
        wanted = number - delay - np.arange(length)[:, None]
        at = np.minimum(np.searchsorted(number[order], wanted), len(number) - 1)
        return cls(order[at], number[order][at] == wanted)

    def mean(self, values: Array, weights: Array, at: NDArray[np.intp]) -> Array:
        """Weighted means of values in the periods with a row, for the rows at some positions."""
        shares = weights[:, None] * self.exist[:, at]
        total = shares.sum(axis=0)
        sums = (shares * values[self.rows[:, at]]).sum(axis=0)
        return np.asarray(sums / np.where(total > 0, total, 1))

    def is_complete(self, weights: Array, was_set: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether enough of the weight is on periods with a row, shape (n,).

        For rows in which the action was set, on periods in which it was.
        """
        counts = self.exist & (was_set[self.rows] | ~was_set)
        return np.asarray(1 - weights @ counts <= MAX_OTHER_WEIGHT)


def _numbers_of_periods(rows: Observations) -> NDArray[np.int_]:
    """Number of the period of each row; those of different units are far apart.

    Raises
    ------
    DataError
        If rows have no times, or two rows of a unit share one.
    """
    if rows.time is None or rows.series is None:
        raise DataError(
            "carry-over needs to know which rows follow which: name the columns of their time and "
            f"unit with {option('time')} and {option('unit')}"
        )
    order = np.lexsort([rows.time, rows.series])
    series, time = rows.series[order], rows.time[order]
    same = np.diff(series) == 0
    steps = np.diff(time)[same]
    if not (steps > 0).all():
        at = int(np.flatnonzero(same)[np.argmin(steps)])
        columns = rows.columns
        unit = f" of {columns.labels_of[columns.unit][series[at]]!r}" if columns.unit else ""
        raise DataError(
            f"two rows{unit} have the same {columns.time}, and carry-over needs their order; name "
            f"the column that tells them apart with {option('unit')}, or add them up"
        )
    # Months differ in length, and rows may be missing.
    jumps = np.full(len(same), FAR)
    if steps.size:
        jumps[same] = np.maximum(1, np.rint(steps / np.median(steps)))
    number = np.empty(len(rows), dtype=np.int_)
    number[order] = np.cumsum(np.concatenate([[0], jumps]))
    return number


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


@dataclass(frozen=True, eq=False)
class Lags:
    """Earlier rows of each row, from which its actions are carried over.

    Attributes
    ----------
    data : Observations
    windows : mapping from action to Window
    past : Window
        Rows of the periods before.
    """

    data: Observations
    windows: Mapping[str, Window]
    past: Window

    @classmethod
    def of(cls, data: Rows, carryover: Mapping[str, Adstock]) -> Self:
        """Find earlier rows.

        Raises
        ------
        ModelError
            On unknown actions, and on actions with named levels.
        DataError
            If the rows are not in memory, or have no order.
        """
        refuse_unknown_actions(carryover, data.names, ModelError, "carryover: ")
        for name in carryover:
            levels = data.categories[data.names.index(name)]
            if levels is not None and not levels.numeric:
                raise ModelError(f"carryover: action {name!r} has named levels, which have no mean")
        if not isinstance(data, Observations):
            raise DataError(
                "carry-over needs the rows of a unit together: "
                + option("read them with RegimeData.from_frame", command="save the file as CSV")
            )
        number = _numbers_of_periods(data)
        windows = {
            name: Window.of(number, adstock.delay, adstock.length)
            for name, adstock in carryover.items()
        }
        return cls(data, windows, Window.of(number, 1, PAST_PERIODS))

    def usable(self, carryover: Mapping[str, Adstock], whole: bool = True) -> NDArray[np.bool_]:
        """Whether the windows of each row say enough, shape (n,).

        Unless they need to be ``whole``, that there are rows suffices.
        """
        usable, every = np.ones(len(self.data), dtype=bool), np.arange(len(self.data))
        for name, window in self.windows.items():
            k = self.data.names.index(name)
            values, was_set = self.data.actions[:, k], self.data.intervened[:, k]
            strict = whole and _persists(values, self._past_of(k, PAST_RATES[0], every), was_set)
            usable &= window.is_complete(carryover[name].weights, was_set & strict)
        return usable

    def carried(self, carryover: Mapping[str, Adstock], at: NDArray[np.intp]) -> Observations:
        """Rows at some positions with carried-over actions.

        Raises
        ------
        DataError
            If no row of a regime is among them, or too few rows are.
        """
        own, every, categories = self.data.take(at), self.data.actions, list(self.data.categories)
        for mask in self.data.regimes:
            if mask not in own.regimes:
                raise DataError(
                    f"no row of {self.data.label(mask)} has earlier rows for as long as its "
                    "actions act; hold them for longer, or give a shorter length in carryover"
                )
        check_enough_rows(own)
        actions, slope = own.actions.copy(), np.zeros(own.actions.shape)
        past = np.zeros((len(PAST_RATES), *slope.shape))
        for name, window in self.windows.items():
            k, adstock = self.data.names.index(name), carryover[name]
            categories[k] = None
            actions[:, k] = window.mean(every[:, k], adstock.weights, at)
            if adstock.sd:
                rate = START if adstock.rate is None else adstock.rate
                ends = np.clip([rate - STEP, rate + STEP], 0.0, MAX_RATE).tolist()
                before, after = (
                    window.mean(every[:, k], adstock.weights_at(end), at) for end in ends
                )
                slope[:, k] = (after - before) / (ends[1] - ends[0]) * adstock.sd
            for mean, rate in zip(past, PAST_RATES, strict=True):
                mean[:, k] = self._past_of(k, rate, at)
        return replace(
            own,
            actions=actions,
            periods=np.concatenate([own.actions, slope, *past], axis=1),
            categories=tuple(categories),
        )

    def _past_of(self, k: int, rate: float, at: NDArray[np.intp]) -> Array:
        """Means over the periods before, in which settings from outside tell of no cause."""
        values, was_set = self.data.actions[:, k], self.data.intervened[:, k]
        usual = values[~was_set].mean() if not was_set.all() else 0.0
        weights = geometric(rate, PAST_PERIODS)
        return self.past.mean(np.where(was_set, usual, values), weights, at)


def carried_over(data: Rows, carryover: Mapping[str, Adstock]) -> Rows:
    """Replace actions by carried-over ones, without rows whose windows say too little.

    Those are rows with more than ``MAX_OTHER_WEIGHT`` of the weight on periods without a row, and,
    of an action that persists, rows of an experiment with as much on periods in which it was not
    set. Rows that are carried over already stay as they are.

    Raises
    ------
    ModelError, DataError
        As in :meth:`Lags.of`, and if no row of an experiment is left.
    """
    if not carryover or (isinstance(data, Observations) and data.periods is not None):
        return data
    lags = Lags.of(data, carryover)
    usable = lags.usable(carryover)
    carried = lags.carried(carryover, np.flatnonzero(usable))
    return replace(carried, left_out=int((~usable).sum()))


def has_past(rows: Observations, k: int) -> bool:
    """Whether the bias of an action is a function of its earlier periods, too: if it persists."""
    periods = Periods.of(rows)
    return periods is not None and _persists(
        periods.now[:, k], periods.past[:, 0, k], rows.intervened[:, k]
    )


def _persists(now: Array, past: Array, was_set: NDArray[np.bool_]) -> bool:
    """Whether an action that was not set depends on its earlier periods.

    Then hidden causes that move it may persist, of which earlier periods tell: what these seem to
    do may be what the causes do, and so may what periods before an experiment seem to do.
    """
    now, past = now[~was_set], past[~was_set]
    if not now.std() * past.std():
        return False
    return bool(abs(np.corrcoef(now, past)[0, 1]) * np.sqrt(len(now)) > MIN_CORRELATION)
