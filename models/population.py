"""Populations over which effects are averaged (standardisation, the g-formula)."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from bayes_intgen._typing import Array

# Maximum number of units that stand for a population where each draw has its own unit, or weights.
SAMPLED_UNITS = 1_000


@dataclass(frozen=True, eq=False)
class Population:
    """Rows of covariates and groups over which effects are averaged.

    Attributes
    ----------
    values : ndarray, shape (R, C + G)
        Columns of NaN are averaged over the observational rows of the data.
    shares : ndarray, shape (R,)
        Shares of the rows, which sum to one.
    """

    values: Array
    shares: Array

    def covers(self, column: int) -> bool:
        """Whether the population has values of a covariate or grouping."""
        return not bool(np.isnan(self.values[:, column]).any())

    def padded(self, actions: int) -> tuple[Array, Array]:
        """Values after columns for the actions, shape (R, K + C + G), and shares."""
        blank = np.zeros((len(self.values), actions))
        return np.concatenate([blank, self.values], axis=1), self.shares


@dataclass(frozen=True, eq=False)
class Units(Population):
    """Units of the population of the data: its rows, or a sample of them.

    Attributes
    ----------
    rows : ndarray, shape (R,)
        Number of rows for which each unit stands.
    """

    rows: Array

    def within(self, population: Population | None, fine: int | None = None) -> Self:
        """Units of another population; these, with each of its rows, where it leaves values open.

        ``fine`` is the column of a grouping whose levels are integrated out.
        """
        if population is None:
            return self
        fixed, shares = population.values, population.shares
        if not _leaves_open(population, fine):
            return replace(self, values=fixed, shares=shares, rows=np.ones(len(shares)))
        values = np.where(np.isnan(fixed)[:, None], self.values, fixed[:, None])
        return replace(
            self,
            values=values.reshape(-1, fixed.shape[1]),
            shares=np.outer(shares, self.shares).ravel(),
            rows=np.tile(self.rows, len(shares)),
        )

    def sampled(self, rng: np.random.Generator, size: int = SAMPLED_UNITS) -> Self:
        """Sample units of equal share, one from each interval of the cumulative share."""
        if len(self.values) <= size:
            return self
        ends = np.cumsum(self.shares)
        at = (np.arange(size) + rng.random(size)) / size * ends[-1]
        which = np.minimum(np.searchsorted(ends, at, side="right"), len(ends) - 1)
        # Rows of unequal weight say as much as fewer rows of equal weight.
        effective = 1 / (np.square(self.shares) / self.rows).sum()
        equal = np.full(size, 1 / size)
        return replace(self, values=self.values[which], shares=equal, rows=effective * equal)

    def distinct(self) -> Self:
        """Merge units with the same values."""
        values, which = np.unique(self.values, axis=0, return_inverse=True)
        shares, rows = (np.bincount(which.ravel(), x) for x in (self.shares, self.rows))
        return replace(self, values=values, shares=shares, rows=rows)

    def resampled(
        self,
        shape: tuple[int, ...],
        rng: np.random.Generator,
        population: Population | None = None,
        fine: int | None = None,
    ) -> "ResampledUnits":
        """Draw the population by the Bayesian bootstrap (Rubin 1981), for draws of a shape.

        The weights of rows are those of a Dirichlet distribution with parameters of one. A unit has
        the sum of the weights of the rows for which it stands, whatever values a query fixes.
        """
        few = self.sampled(rng)
        weights = few.shares / few.rows * rng.gamma(few.rows, size=(*shape, len(few.rows)))
        weights /= weights.sum(axis=-1, keepdims=True)
        own = few.within(population, fine)
        if population is not None:
            open_too = _leaves_open(population, fine)
            of_units = weights if open_too else np.ones((*shape, 1))
            weights = population.shares[:, None] * of_units[..., None, :]
        return ResampledUnits(own.values, own.shares, weights.reshape(*shape, -1))


def _leaves_open(population: Population, fine: int | None) -> bool:
    """Whether columns of a population, other than ``fine``, are averaged over the data."""
    return bool(np.delete(np.isnan(population.values), [] if fine is None else fine, axis=1).any())


@dataclass(frozen=True, eq=False)
class ResampledUnits(Population):
    """Units of a population, and their weights in every draw.

    Attributes
    ----------
    weights : ndarray, shape (chain, draw, R)
        They sum to one, and ``shares`` is their mean.
    """

    weights: Array
