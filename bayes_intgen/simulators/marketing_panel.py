"""Marketing panel: regions with levels of their own, a season that all share, geo experiments."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bayes_intgen._arguments import seed_number, whole_number
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import Regime, StructuralCausalModel
from bayes_intgen.simulators.media_mix import MediaMix
from bayes_intgen.simulators.observed_causes import ObservedCauses, ObservedColumns, random_base

WEEKS = 52


@dataclass(frozen=True, eq=False)
class MarketingPanel(ObservedCauses):
    """Weekly spend and sales of regions, with at most one experiment per region.

    History exists in every region, rows of an experiment only in its own regions. The level of a
    region and the season, a sine over the year, move sales; managers react to both::

        l(a, region, week) = level_region + swing sin(2 pi week / 52 + phase)
                             + sum_k response_(region, k) effect_k(a_k)
        s_k(region, week) = regional_pull_(region, k)
                            + seasonal_pull_k sin(2 pi week / 52 + phase)

    with effect_k(a) = E[f_k(a, C_k)].

    Attributes
    ----------
    base : StructuralCausalModel
    experiment : ndarray of int, shape (R,)
        The action that is set in each region's experiment, by position; -1 for none.
    size : ndarray, shape (R,)
        Share of each region in the history, and in proportion in the rows of its experiment.
    level : ndarray, shape (R,)
    response : ndarray, shape (R, K)
        Relative deviation of each region's response to an action; zero in random models.
    regional_pull : ndarray, shape (R, K)
    swing, phase : float
    seasonal_pull : ndarray, shape (K,)
    """

    experiment: NDArray[np.int_]
    size: Array
    level: Array
    response: Array
    regional_pull: Array
    swing: float
    phase: float
    seasonal_pull: Array

    @classmethod
    @takes_rng
    def random(
        cls,
        count: int,
        seed: Seed,
        *,
        regions: int = 24,
        base: type[StructuralCausalModel] = MediaMix,
        differences: float = 1.0,
    ) -> Self:
        """A random panel with ``count`` channels, and ``count + 1`` or more regions.

        Levels and season have about the standard deviation of the mean outcome in a random
        ``base`` model, times ``differences``, as has what managers do about them.

        Examples
        --------
        >>> panel = bi.simulators.MarketingPanel.random(2, seed=0, regions=6)
        >>> data = panel.dataset(100, seed=1)
        >>> data.columns.every
        ('week', 'region')
        >>> panel.joint_effect(data.actions[:3], data).shape
        (3,)
        """
        seed = seed_number(seed)
        model, unit = random_base(base, count, seed)
        # One for each experiment, and one without.
        regions = whole_number(regions, "regions", count + 1)
        rng = np.random.default_rng([seed, regions])
        return cls(
            model,
            experiment=np.arange(regions) % (count + 1) - 1,
            size=np.full(regions, 1 / regions),
            level=rng.normal(size=regions) * unit * differences,
            response=np.zeros((regions, count)),
            regional_pull=0.3 * differences * rng.normal(size=(regions, count)),
            swing=differences * unit * float(rng.uniform(0.5, 1.5)),
            phase=float(rng.uniform(0, 2 * np.pi)),
            seasonal_pull=0.5 * differences * rng.normal(size=count),
        )

    def draw_columns(self, regime: Regime, rows: int, rng: Generator) -> ObservedColumns:
        was_set = self.base.mask(regime)
        inside = (was_set[self.experiment] & (self.experiment >= 0)) | ~was_set.any()
        share = self.size * inside
        region = rng.choice(len(share), rows, p=share / share.sum())
        week = rng.integers(0, WEEKS, rows).astype(float)
        return ObservedColumns({"week": week}, {"region": region})

    def season(self, week: Array) -> Array:
        """Season of each week, between -1 and 1."""
        return np.asarray(np.sin(2 * np.pi * week / WEEKS + self.phase))

    def shift(self, columns: ObservedColumns) -> Array:
        season = self.season(columns.covariates["week"])
        return np.asarray(
            self.regional_pull[_regions(columns)] + season[:, None] * self.seasonal_pull
        )

    def adjustment(self, actions: Array, columns: ObservedColumns) -> Array:
        effects = self.base.mean_contributions(actions)
        return self._levels(columns) + np.sum(self.response[_regions(columns)] * effects, 1)

    def mean_adjustment(self, actions: Array, columns: ObservedColumns) -> Array:
        effects = self.base.mean_contributions(actions)
        response = self.response[_regions(columns)].mean(axis=0)
        return np.asarray(self._levels(columns).mean() + effects @ response)

    def _levels(self, columns: ObservedColumns) -> Array:
        season = self.season(columns.covariates["week"])
        return np.asarray(self.level[_regions(columns)] + self.swing * season)


def _regions(columns: ObservedColumns) -> NDArray[np.int_]:
    """Region of each row, by its position."""
    return np.asarray(columns.groups["region"]).astype(int)
