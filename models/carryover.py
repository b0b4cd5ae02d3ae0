"""Carry-over: an action acts for some periods, by geometric adstock (Broadbent 1979).

The effect is a function of the carried-over action, a weighted mean of this and earlier periods of
the same unit with geometric weights, as in Jin et al. (2017). The weights sum to one, so that an
action that is held at a value for as long as it acts is carried over at this value. Biases are
functions of the action of this period, with which hidden causes of this period have moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._arguments import real_number, whole_number
from bayes_intgen._typing import Array
from bayes_intgen.data.first_pass import SAMPLE_ROWS
from bayes_intgen.data.in_time import gaps, of_unit, refuse_without_past, step_of
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
        Prior standard deviation of the rate; 0 for one that is known, or estimated.

    Raises
    ------
    ModelError
        If a number is out of range, or there is an sd without a rate.

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
        if not (0 <= rate <= MAX_RATE and sd >= 0) or (self.rate is None and sd):
            raise ModelError(
                f"an adstock needs a rate from 0 to {MAX_RATE}, with which it may have a positive "
                f"sd, not {self}"
            )

    @property
    def weights(self) -> Array:
        """Weights of the periods, the latest first, shape (length,); some if the rate is open."""
        return self.weights_at(START if self.rate is None else self.rate)

    def weights_at(self, rate: float) -> Array:
        """Weights at another rate."""
        return geometric(rate, self.length)

    def share(self, periods: int, rate: float | None = None) -> float:
        """Share of its effect that an action has after some periods, at this or another rate."""
        weights = self.weights if rate is None else self.weights_at(rate)
        return float(weights[: max(0, periods - self.delay)].sum())

    def slope_of_share(self, periods: int) -> float:
        """Relative change of that share by an error of the rate of one standard deviation."""
        rate = self.rate or 0.0
        ends = np.clip([rate - STEP, rate + STEP], 0.0, MAX_RATE).tolist()
        before, after = (self.share(periods, end) for end in ends)
        slope = (after - before) / (ends[1] - ends[0]) / (self.share(periods) or 1.0)
        return float(self.sd * slope)


def geometric(rate: float, length: int) -> Array:
    """Geometric weights that sum to one, shape (length,)."""
    weights = rate ** np.arange(length)
    return np.asarray(weights / weights.sum())


class Window(NamedTuple):
    """An action in the periods in which it acts, for each row.

    Attributes
    ----------
    values : ndarray, shape (length, n)
        The latest first; NaN where there is no row of the unit.
    was_set : ndarray of bool, shape (length, n)
    """

    values: Array
    was_set: NDArray[np.bool_]

    @property
    def exist(self) -> NDArray[np.bool_]:
        """Whether there is such a row, shape (length, n)."""
        return ~np.isnan(self.values)

    def during(self, delay: int, length: int) -> Self:
        """Some of the periods."""
        some = slice(delay, delay + length)
        return type(self)(self.values[some], self.was_set[some])

    def mean(self, weights: Array, usual: float | None = None) -> Array:
        """Weighted means of the periods with a row.

        ``usual`` stands for values that were set, and for the mean where no period has a row.
        """
        values = self.values if usual is None else np.where(self.was_set, usual, self.values)
        shares = weights[:, None] * self.exist
        total = shares.sum(axis=0)
        sums = (shares * np.where(self.exist, values, 0.0)).sum(axis=0)
        empty = np.full(len(total), usual or 0.0)
        return np.asarray(np.divide(sums, total, out=empty, where=total > 0))

    def is_complete(self, weights: Array, was_set: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether enough of the weight is on periods with a row, shape (n,).

        For rows in which the action was set, on periods in which it was.
        """
        counts = self.exist & (self.was_set | ~was_set)
        return np.asarray(1 - weights @ counts <= MAX_OTHER_WEIGHT)


def _numbers_of_periods(rows: Observations, step: float) -> NDArray[np.int_]:
    """Number of the period of each row; those of different units are far apart.

    Raises
    ------
    DataError
        If two rows of a unit share a time.
    """
    order = rows.order_in_time
    ordered = rows.take(order)
    assert ordered.series is not None
    steps = gaps(ordered)
    if not (steps > 0).all():
        unit = of_unit(rows.columns, ordered.series[np.argmin(steps)])
        raise DataError(
            f"two rows{unit} have the same {rows.columns.time}, and carry-over needs their order; "
            f"name the column that tells them apart with {option('unit')}, or add them up"
        )
    # Months differ in length, and rows may be missing.
    jumps = np.where(np.isinf(steps), FAR, np.maximum(1, np.rint(steps / step)))
    number = np.empty(len(rows), dtype=np.int_)
    number[order] = np.cumsum(jumps)
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


@dataclass(frozen=True)
class Windows:
    """Find the values of actions in earlier periods; a function of rows and those before them.

    Attributes
    ----------
    actions : tuple of int
    periods : int
        Number of earlier periods.
    step : float
        Length of a period.
    """

    actions: tuple[int, ...]
    periods: int
    step: float

    def __call__(self, rows: Observations) -> Observations:
        """Rows with windows."""
        number = _numbers_of_periods(rows, self.step)
        order = np.argsort(number)
        wanted = number - np.arange(1 + self.periods)[:, None]
        at = np.minimum(np.searchsorted(number[order], wanted), len(number) - 1)
        exist, at = number[order][at] == wanted, order[at]
        parts = []
        for k in self.actions:
            values, was_set = rows.actions[:, k], rows.intervened[:, k]
            parts += [np.where(exist, values[at], np.nan), exist & was_set[at]]
        return replace(rows, windows=np.concatenate(parts).T)

    def of(self, rows: Observations) -> dict[int, Window]:
        """Window of each action."""
        assert rows.windows is not None
        parts = np.split(rows.windows.T, 2 * len(self.actions))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return {
            k: Window(values, was_set > 0)
            for k, (values, was_set) in zip(self.actions, pairs, strict=True)
        }


@dataclass(frozen=True)
class Lags:
    """What rows with windows say as a whole.

    Attributes
    ----------
    names : tuple of str
        Names of all actions.
    windows : Windows
    usual : mapping from int to float
        Mean of each action that carries over where it was not set.
    persists : frozenset of int
        Those that depend on their earlier periods there.
    """

    names: tuple[str, ...]
    windows: Windows
    usual: Mapping[int, float]
    persists: frozenset[int]

    @classmethod
    def of(cls, data: Rows, carryover: Mapping[str, Adstock]) -> tuple[Rows, Self]:
        """Rows with windows, and what these say.

        Raises
        ------
        ModelError
            On unknown actions, and on actions with named levels.
        DataError
            If the rows have no order.
        """
        refuse_unknown_actions(carryover, data.names, ModelError, "carryover: ")
        for name in carryover:
            levels = data.categories[data.names.index(name)]
            if levels is not None and not levels.numeric:
                raise ModelError(f"carryover: action {name!r} has named levels, which have no mean")
        if not data.columns.time:
            raise DataError(
                "carry-over needs to know which rows follow which: name the columns of their time "
                f"and unit with {option('time')} and {option('unit')}"
            )
        actions = tuple(map(data.names.index, carryover))
        reach = max([PAST_PERIODS, *(own.delay + own.length - 1 for own in carryover.values())])
        windows = Windows(actions, reach, step_of(gaps(data.opening)))
        data = data.with_past(windows, reach)
        rows = data.sample(SAMPLE_ROWS)
        usual, persists = dict[int, float](), set[int]()
        for k, window in windows.of(rows).items():
            values, was_set = rows.actions[:, k], rows.intervened[:, k]
            usual[k] = float(values[~was_set].mean()) if not was_set.all() else 0.0
            if _persists(values, _past_of(window, PAST_RATES[0], usual[k]), was_set):
                persists.add(k)
        return data, cls(data.names, windows, usual, frozenset(persists))

    def usable(
        self, rows: Observations, carryover: Mapping[str, Adstock], whole: bool = True
    ) -> NDArray[np.bool_]:
        """Whether the windows of each row say enough, shape (n,).

        Unless they need to be ``whole``, that there are rows suffices.
        """
        usable = np.ones(len(rows), dtype=bool)
        for k, window in self.windows.of(rows).items():
            adstock = carryover[self.names[k]]
            was_set = rows.intervened[:, k] & (whole and k in self.persists)
            own = window.during(adstock.delay, adstock.length)
            usable &= own.is_complete(adstock.weights, was_set)
        return usable

    def carried(self, rows: Observations, carryover: Mapping[str, Adstock]) -> Observations:
        """Rows with carried-over actions."""
        actions, slope = rows.actions.copy(), np.zeros(rows.actions.shape)
        past, categories = np.zeros((len(PAST_RATES), *slope.shape)), list(rows.categories)
        for k, window in self.windows.of(rows).items():
            adstock = carryover[self.names[k]]
            own, categories[k] = window.during(adstock.delay, adstock.length), None
            actions[:, k] = own.mean(adstock.weights)
            if adstock.sd:
                rate = START if adstock.rate is None else adstock.rate
                ends = np.clip([rate - STEP, rate + STEP], 0.0, MAX_RATE).tolist()
                before, after = (own.mean(adstock.weights_at(end)) for end in ends)
                slope[:, k] = (after - before) / (ends[1] - ends[0]) * adstock.sd
            for mean, rate in zip(past, PAST_RATES, strict=True):
                mean[:, k] = _past_of(window, rate, self.usual[k])
        return replace(
            rows,
            actions=actions,
            windows=None,
            periods=np.concatenate([rows.actions, slope, *past], axis=1),
            categories=tuple(categories),
        )

    def applied(self, data: Rows, carryover: Mapping[str, Adstock]) -> Rows:
        """Carry over the actions of rows with windows; see :func:`carried_over`."""
        carried = data.with_past(partial(self._of_usable, carryover), 0)
        refuse_lost_regimes(data, carried)
        return carried

    def _of_usable(self, carryover: Mapping[str, Adstock], rows: Observations) -> Observations:
        return self.carried(rows.take(self.usable(rows, carryover)), carryover)


def _past_of(window: Window, rate: float, usual: float) -> Array:
    """Means over the periods before, in which settings from outside tell of no cause."""
    return window.during(1, PAST_PERIODS).mean(geometric(rate, PAST_PERIODS), usual)


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
    if not carryover or data.in_memory.periods is not None:
        return data
    rows, lags = Lags.of(data, carryover)
    return lags.applied(rows, carryover)


def refuse_lost_regimes(data: Rows, carried: Rows) -> None:
    """Raise DataError if no row of a regime is left, or too few rows are."""
    for mask in data.regimes:
        if mask not in carried.regimes:
            refuse_without_past(f" of {data.label(mask)}", data.columns)
    check_enough_rows(carried, f" (of {len(data)}) with the earlier periods that act in them")


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
