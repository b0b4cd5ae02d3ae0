"""Populations over which effects are averaged (standardisation, the g-formula)."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array


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
