"""Base of simulators whose actions and outcome also have observed causes: covariates and groups.

    A_k := g_k(C_k + s_k(X), A_pa(k), V_k),   Y := f_1(A_1, C_1) + ... + f_K(A_K, C_K) + l(A, X) + U

C, g_k, f_k and U are those of a base model. Whoever observes X and sets A_k reacts to it as to the
hidden cause C_k. Conditional on X the model is that of :class:`StructuralCausalModel`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from bayes_intgen._arguments import whole_number
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_points
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.simulators.base import Regime, StructuralCausalModel, single_interventions


class ObservedColumns(NamedTuple):
    """Covariates and groups of rows, each an array of shape (rows,), by name."""

    covariates: Mapping[str, Any]
    groups: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ObservedCauses(ABC):
    """A model with observed causes; the true effect is an average over rows.

    Attributes
    ----------
    base : StructuralCausalModel
        Model of the hidden causes.
    """

    base: StructuralCausalModel

    @abstractmethod
    def draw_columns(self, regime: Regime, rows: int, rng: Generator) -> ObservedColumns:
        """Draw the covariates and groups X of rows of one regime."""

    @abstractmethod
    def shift(self, columns: ObservedColumns) -> Array:
        """Shift s(X) of each cause in the eyes of those who set the actions, shape (rows, K)."""

    @abstractmethod
    def adjustment(self, actions: Array, columns: ObservedColumns) -> Array:
        """Contribution l(a, X) of the observed causes to the outcome, shape (rows,)."""

    @abstractmethod
    def mean_adjustment(self, actions: Array, columns: ObservedColumns) -> Array:
        """Average of l(a, X) over the rows of X, at each of the actions (M, K); shape (M,)."""

    def draw_group_effects(self, columns: ObservedColumns, rng: Generator) -> Array:
        """Draw random effects of groups on the outcome, with mean zero, shape (rows,)."""
        return np.zeros(len(self.shift(columns)))

    @property
    def names(self) -> tuple[str, ...]:
        """The actions."""
        return self.base.names

    def sample(
        self, regime: Regime, rows: int, rng: Generator
    ) -> tuple[Array, Array, ObservedColumns]:
        """Sample rows of one regime.

        Parameters
        ----------
        regime : sequence of str
            The intervened actions; empty for observational rows.
        rows : int
        rng : Generator

        Returns
        -------
        actions : ndarray, shape (rows, K)
        outcome : ndarray, shape (rows,)
        columns : ObservedColumns
        """
        columns = self.draw_columns(regime, rows, rng)
        actions, outcome = self.base.sample(regime, rows, rng, self.shift(columns))
        outcome = outcome + self.adjustment(actions, columns)
        return actions, outcome + self.draw_group_effects(columns, rng), columns

    @takes_rng
    def dataset(self, rows: int, seed: Seed) -> RegimeData:
        """Sample a data set of observational rows and single interventions.

        Parameters
        ----------
        rows : int
            Rows per regime.
        seed : int
        """
        whole_number(rows, "rows", 1)
        regimes = single_interventions(self.names)
        rng = np.random.default_rng(seed)
        pieces = [self.sample(regime, rows, rng) for regime in regimes]
        actions, outcome, columns = zip(*pieces, strict=True)
        masks = [self.base.mask(regime) for regime in regimes]
        return RegimeData.from_arrays(
            np.concatenate(actions),
            np.concatenate(outcome),
            np.repeat(masks, rows, axis=0),
            self.names,
            covariates=_together([part.covariates for part in columns]),
            groups=_together([part.groups for part in columns]),
        )

    def joint_effect(self, points: ArrayLike, data: RegimeData) -> Array:
        """Joint effect E[Y | do(points)], averaged over the observational rows of the data.

        Random effects of groups are at their mean of zero.

        Parameters
        ----------
        points : array_like, shape (M, K)
        data : RegimeData
            Rows of this model.

        Returns
        -------
        ndarray, shape (M,)
        """
        values = checked_points(points, self.names)
        adjustment = self.mean_adjustment(values, observational_columns(data))
        return np.asarray(self.base.joint_effect(values) + adjustment)


def observational_columns(data: RegimeData) -> ObservedColumns:
    """Covariates and labels of groups of the observational rows."""
    names, rows = data.columns, data.covariates[~data.intervened.any(axis=1)]
    columns = dict(zip(names.every, rows.T, strict=True))
    groups = zip(names.groups, names.labels, strict=True)
    return ObservedColumns(
        {name: columns[name] for name in names.names},
        {name: np.array(labels)[columns[name].astype(int)] for name, labels in groups},
    )


def random_base(
    base: type[StructuralCausalModel], count: int, seed: int
) -> tuple[StructuralCausalModel, float]:
    """A random model of a class, and the standard deviation of its mean outcome under do."""
    model: StructuralCausalModel = base.random(count, seed)  # type: ignore[attr-defined]
    points, _ = model.sample(model.names, 1000, np.random.default_rng(0))
    return model, float(model.joint_effect(points).std())


def _together(parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
