"""Worlds whose actions and outcome also have observed causes: covariates and groups.

    A_k := g_k(C_k + s_k(X), A_pa(k), V_k),   Y := f_1(A_1, C_1) + ... + f_K(A_K, C_K) + l(A, X) + U

C, g_k, f_k and U are those of a base model. Whoever observes X and sets A_k reacts to it as to the
hidden cause C_k. Conditional on X the model is that of
:class:`bayes_intgen.simulators.StructuralCausalModel`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_points
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators import DoseResponse, MediaMix, StructuralCausalModel
from bayes_intgen.simulators.base import Regime, single_interventions

WEEKS = 52
MEAN_AGE, AGE_SD = 55.0, 15.0


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

    def dataset(self, rows: int, seed: int) -> RegimeData:
        """Sample a data set of observational rows and single interventions.

        Parameters
        ----------
        rows : int
            Rows per regime.
        seed : int
        """
        if rows < 1:
            raise ModelError(f"rows must be at least 1, not {rows}")
        regimes = single_interventions(self.names)
        rng = np.random.default_rng(seed)
        actions, outcome, columns = zip(
            *(self.sample(regime, rows, rng) for regime in regimes), strict=True
        )
        masks = [self.base.mask(regime) for regime in regimes]
        return RegimeData.from_arrays(
            np.concatenate(actions),
            np.concatenate(outcome),
            np.repeat(masks, [len(part) for part in outcome], axis=0),
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


@dataclass(frozen=True, eq=False)
class MarketingPanel(ObservedCauses):
    """Weekly spend and sales of regions, with at most one experiment per region.

    History exists in every region, rows of an experiment only in its own regions. The level of a
    region and the season, a sine over the year, move sales; managers react to both::

        l(a, region, week) = level_region + swing sin(2 pi week / 52 + phase)
                             + sum_k response_(region, k) effect_k(a_k)
        s_k(region, week)  = regional_pull_(region, k) + seasonal_pull_k sin(2 pi week / 52 + phase)

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
    def random(
        cls,
        count: int,
        seed: int,
        *,
        regions: int = 24,
        base: type[StructuralCausalModel] = MediaMix,
        differences: float = 1.0,
    ) -> Self:
        """A random panel with ``count`` channels.

        Levels and season have about the standard deviation of the mean outcome in a random
        ``base`` model, times ``differences``, as has what managers do about them.
        """
        model, unit = random_base(base, count, seed)
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


@dataclass(frozen=True, eq=False)
class RepeatedVisits(ObservedCauses):
    """Doses and a clinical score at the visits of patients; each patient is in one regime.

    With z the standardised age and level_p normal with mean zero,

        l(a, age, p) = ageing z + sum_k moderation_k z effect_k(a_k) + level_p
        s_k(age)     = age_pull_k z

    with effect_k(a) = E[f_k(a, C_k)]. The true effect is that in the average patient, averaged
    over the ages of the observational rows.

    Attributes
    ----------
    base : StructuralCausalModel
    visits : int
        Visits per patient; with one visit, patients are no grouping.
    patient_sd : float
    ageing : float
        Change of the score with a standard deviation of age.
    moderation : ndarray, shape (K,)
        Relative change of each effect with a standard deviation of age.
    age_pull : ndarray, shape (K,)
    """

    base: StructuralCausalModel
    visits: int
    patient_sd: float
    ageing: float
    moderation: Array
    age_pull: Array

    @classmethod
    def random(
        cls,
        count: int,
        seed: int,
        *,
        visits: int = 3,
        base: type[StructuralCausalModel] = DoseResponse,
    ) -> Self:
        """Random trials of ``count`` drugs.

        Raises
        ------
        ModelError
            For less than one visit.
        """
        if visits < 1:
            raise ModelError(f"visits must be at least 1, not {visits}")
        model, unit = random_base(base, count, seed)
        rng = np.random.default_rng([seed, count])
        return cls(
            model,
            visits,
            patient_sd=unit * float(rng.uniform(0.5, 1)),
            ageing=unit * float(rng.uniform(0.2, 0.5)),
            moderation=rng.uniform(-0.4, 0.4, count),
            age_pull=rng.uniform(0, 0.5, count),
        )

    def draw_columns(self, regime: Regime, rows: int, rng: Generator) -> ObservedColumns:
        patients = -(-rows // self.visits)
        which = np.repeat(np.arange(patients), self.visits)[:rows]
        age = np.clip(rng.normal(MEAN_AGE, AGE_SD, patients), 18, 95).round()
        if self.visits == 1:
            return ObservedColumns({"age": age}, {})
        regime_code = sum(int(was_set) << k for k, was_set in enumerate(self.base.mask(regime)))
        labels = [f"{regime_code}-{number}" for number in range(1, patients + 1)]
        return ObservedColumns({"age": age[which]}, {"patient": np.array(labels)[which]})

    def draw_group_effects(self, columns: ObservedColumns, rng: Generator) -> Array:
        labels = columns.groups.get("patient", np.arange(len(columns.covariates["age"])))
        patients, which = np.unique(labels, return_inverse=True)
        return np.asarray(self.patient_sd * rng.normal(size=len(patients))[which])

    def shift(self, columns: ObservedColumns) -> Array:
        return np.asarray(standardised_age(columns)[:, None] * self.age_pull)

    def adjustment(self, actions: Array, columns: ObservedColumns) -> Array:
        age = standardised_age(columns)
        return np.asarray(age * (self.ageing + self._moderated(actions)))

    def mean_adjustment(self, actions: Array, columns: ObservedColumns) -> Array:
        age = float(standardised_age(columns).mean())
        return np.asarray(age * (self.ageing + self._moderated(actions)))

    def _moderated(self, actions: Array) -> Array:
        """Change of the outcome's mean with a standard deviation of age, shape (n,)."""
        return np.asarray(self.base.mean_contributions(actions) @ self.moderation)


def standardised_age(columns: ObservedColumns) -> Array:
    """Age of each row in standard deviations from the mean."""
    return np.asarray((columns.covariates["age"] - MEAN_AGE) / AGE_SD)
