"""Weekly panel: rows of regions that follow each other, in which effects last and levels drift."""

from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._arguments import probability, real_number, seed_number, whole_number
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_points
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.marketing_panel import WEEKS as YEAR
from bayes_intgen.simulators.marketing_panel import MarketingPanel
from bayes_intgen.simulators.observed_causes import ObservedColumns

# Number of weeks before the first row, whose actions may still act.
EARLIER = 52


class _Calendar(NamedTuple):
    """Region and week of rows, and whether they are those of an experiment; shape (n,) each."""

    region: NDArray[np.int_]
    week: NDArray[np.int_]
    in_experiment: NDArray[np.bool_]

    @property
    def columns(self) -> ObservedColumns:
        return ObservedColumns({"week": self.week.astype(float)}, {"region": self.region})


@dataclass(frozen=True, eq=False)
class WeeklyPanel:
    """A row per region and week of a marketing panel.

    Noise and hidden causes have the laws of the base model, and may be autocorrelated. The outcome
    of a week is, with years t since the first one and the carried-over actions
    x_k = (1 - carryover) (a_k + carryover a_k of the week before + ...),

        (1 + growth t) sum_k f_k(x_k, C_k) + l(x, region, week) + shift [t >= half] + slope t + U

    with the levels and season l of the panel. The experiments of regions begin one after the other.

    Attributes
    ----------
    panel : MarketingPanel
        Base model, regions, season, and which action is set in which region.
    weeks : int
        Number of weeks.
    block : int
        Number of weeks of each experiment.
    hold : int
        Number of weeks for which a setting is held.
    concurrent : bool
        Whether history is in the same weeks as the experiments. Otherwise it is the first half of
        the weeks, and the experiments are in the second half.
    noise, causes : float
        Autocorrelation of the noise, and of the hidden causes, from one week to the next.
    carryover : float or sequence of float
        Rate of the carry-over of all actions, or of each.
    shift, slope : float
        Step of the outcome's level in the middle of the weeks, and its trend per year.
    growth : float
        Relative growth of the effects per year.

    Raises
    ------
    ModelError
        If a number is out of range.

    Examples
    --------
    >>> regions = bi.simulators.MarketingPanel.random(3, seed=0)
    >>> panel = bi.simulators.WeeklyPanel(regions, noise=0.8, carryover=0.5)
    >>> len(panel.dataset(seed=1))
    2496
    """

    panel: MarketingPanel
    _: KW_ONLY
    weeks: int = 104
    block: int = 16
    hold: int = 1
    concurrent: bool = True
    noise: float = 0.0
    causes: float = 0.0
    carryover: ArrayLike = 0.0
    shift: float = 0.0
    slope: float = 0.0
    growth: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weeks", "block", "hold"):
            whole_number(getattr(self, name), name, 1)
        if self.weeks // 2 < self.block:
            raise ModelError(f"{self.weeks} weeks are less than two experiments of {self.block}")
        for name in ("noise", "causes"):
            probability(getattr(self, name), name, or_zero=True)
        rates = np.ravel(self.carryover).tolist()
        for rate in rates:
            probability(rate, "carryover", or_zero=True)
        if len(rates) not in (1, count := len(self.names)):
            raise ModelError(
                f"carryover must be one rate, or {count} for its actions, not {len(rates)}"
            )
        for name in ("shift", "slope", "growth"):
            real_number(getattr(self, name), name)

    @property
    def names(self) -> tuple[str, ...]:
        """The actions."""
        return self.panel.names

    @takes_rng
    def frame(self, seed: Seed) -> pd.DataFrame:
        """Sample a table: actions, ``outcome``, ``regime``, ``region`` and ``week``.

        Examples
        --------
        >>> panel = bi.simulators.WeeklyPanel(bi.simulators.MarketingPanel.random(2, seed=0))
        >>> panel.frame(seed=1).columns.tolist()
        ['tv', 'radio', 'outcome', 'regime', 'region', 'week']
        """
        rng, base = np.random.default_rng(seed_number(seed)), self.panel.base
        rows = self._calendar(EARLIER)
        years, own = rows.week / YEAR, self.panel.experiment[rows.region]
        shape = (len(self.panel.level), -1)
        causes = _persistent(base.draw_causes(len(years), rng), self.causes, shape, rng)
        noise = base.draw_noise(len(years), rng)[:, None]
        actions = self._actions(rows, causes, rng)
        rates = np.broadcast_to(self.carryover, len(self.names))
        carried = (1 - rates) * actions
        for k, rate in enumerate(rates):
            carried[:, k] = _accumulated(carried[:, k].reshape(shape), rate).ravel()
        each = [base.contribution(k, carried[:, k], c) for k, c in enumerate(causes.T)]
        effects = sum(each) + base.interaction(carried)
        table = pd.DataFrame(actions, columns=list(self.names)).assign(
            outcome=(1 + self.growth * years) * effects
            + self.panel.adjustment(carried, rows.columns)
            + self._drift(rows)
            + _persistent(noise, self.noise, shape, rng)[:, 0],
            regime=np.array([*self.names, ""])[np.where(rows.in_experiment, own, -1)],
            region=rows.region.astype(str),
            week=rows.week,
        )
        return table[self._recorded(rows)].reset_index(drop=True)

    @takes_rng
    def dataset(self, seed: Seed) -> RegimeData:
        """Sample a data set with regions and weeks as columns, units and times."""
        return RegimeData.from_frame(
            self.frame(seed),
            self.names,
            "outcome",
            "regime",
            covariates=["week"],
            groups=["region"],
            unit="region",
            time="week",
        )

    def joint_effect(self, points: ArrayLike) -> Array:
        """Joint effect of actions that are held, shape (M,), for points of shape (M, K).

        Averaged over the regions and weeks of the observational rows.

        Examples
        --------
        >>> panel = bi.simulators.WeeklyPanel(bi.simulators.MarketingPanel.random(2, seed=0))
        >>> panel.joint_effect([[50.0, 50.0]]).shape
        (1,)
        """
        base, every = self.panel.base, self._calendar(0)
        history = self._recorded(every) & ~every.in_experiment
        rows = _Calendar(every.region[history], every.week[history], every.in_experiment[history])
        values = checked_points(points, self.names)
        effects = base.joint_effect(values) - base.noise_mean
        growth = 1 + self.growth * rows.week.mean() / YEAR
        level = base.noise_mean + self._drift(rows).mean()
        adjustment = self.panel.mean_adjustment(values, rows.columns)
        return np.asarray(growth * effects + level + adjustment)

    def _calendar(self, earlier: int) -> _Calendar:
        """All weeks of all regions, after some earlier ones."""
        count = len(self.panel.level)
        region, week = np.indices((count, earlier + self.weeks)).reshape(2, -1)
        since = week - earlier - self._starts[region]
        in_experiment = (since >= 0) & (since < self.block) & (self.panel.experiment[region] >= 0)
        return _Calendar(region, week - earlier, in_experiment)

    @property
    def _starts(self) -> NDArray[np.int_]:
        """First week of the experiment of each region."""
        first = 0 if self.concurrent else self.weeks // 2
        starts = np.linspace(first, self.weeks - self.block, len(self.panel.level))
        return np.asarray(starts.round().astype(int))

    def _recorded(self, rows: _Calendar) -> NDArray[np.bool_]:
        history = (rows.week >= 0) & (self.concurrent | (rows.week < self.weeks // 2))
        return np.asarray(rows.in_experiment | history)

    def _drift(self, rows: _Calendar) -> Array:
        late = rows.week >= self.weeks // 2
        return np.asarray(self.shift * late + self.slope * rows.week / YEAR)

    def _actions(self, rows: _Calendar, causes: Array, rng: Generator) -> Array:
        """Actions of the rows, which managers choose unless an experiment sets them."""
        base, own, count = self.panel.base, self.panel.experiment[rows.region], len(rows.week)
        perceived = causes + self.panel.shift(rows.columns)
        held = np.arange(count) - (rows.week - self._starts[rows.region]) % self.hold
        actions = np.zeros((count, len(self.names)))
        for k in range(len(self.names)):
            chosen = base.draw_action(k, perceived, actions, rng)
            setting = base.draw_setting(k, count, rng)[held]
            actions[:, k] = np.where(rows.in_experiment & (own == k), setting, chosen)
        return actions


def _persistent(values: Array, correlation: float, shape: tuple[int, int], rng: Generator) -> Array:
    """Reorder the rows of each column like those of autoregressions, in series of this shape.

    The law of the values stays (Iman and Conover, Communications in Statistics 1982).
    """
    out = np.empty_like(values)
    for k, column in enumerate(values.T):
        steps = rng.normal(size=len(column)).reshape(shape)
        steps[:, 0] /= np.sqrt(1 - correlation**2)
        order = np.argsort(_accumulated(steps, correlation).ravel())
        out[order, k] = np.sort(column)
    return out


def _accumulated(steps: Array, rate: float) -> Array:
    """Sums of this and earlier steps of each row, with geometric weights; shape (R, T)."""
    out = steps.copy()
    for t in range(1, out.shape[1]):
        out[:, t] += rate * out[:, t - 1]
    return out
