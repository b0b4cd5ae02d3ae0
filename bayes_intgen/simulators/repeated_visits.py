"""Trials of single drugs in which patients have several visits, and age moderates the effects."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator

from bayes_intgen._arguments import seed_number, whole_number
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import Regime, StructuralCausalModel
from bayes_intgen.simulators.dose_response import DoseResponse
from bayes_intgen.simulators.observed_causes import ObservedCauses, ObservedColumns, random_base

MEAN_AGE, AGE_SD = 55.0, 15.0


@dataclass(frozen=True, eq=False)
class RepeatedVisits(ObservedCauses):
    """Doses and a clinical score at the visits of patients; each patient is in one regime.

    With z the standardised age and level_p normal with mean zero::

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

    visits: int
    patient_sd: float
    ageing: float
    moderation: Array
    age_pull: Array

    @classmethod
    @takes_rng
    def random(
        cls,
        count: int,
        seed: Seed,
        *,
        visits: int = 3,
        base: type[StructuralCausalModel] = DoseResponse,
    ) -> Self:
        """Random trials of ``count`` drugs.

        Raises
        ------
        ModelError
            For less than one visit.

        Examples
        --------
        >>> trials = bi.simulators.RepeatedVisits.random(2, seed=0)
        >>> data = trials.dataset(90, seed=1)
        >>> data.columns.every, len(data.columns.labels[0])
        (('age', 'patient'), 90)
        """
        whole_number(visits, "visits", 1)
        seed = seed_number(seed)
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
        return np.asarray(standardised_age(columns) * (self.ageing + self._moderated(actions)))

    def mean_adjustment(self, actions: Array, columns: ObservedColumns) -> Array:
        age = float(standardised_age(columns).mean())
        return np.asarray(age * (self.ageing + self._moderated(actions)))

    def _moderated(self, actions: Array) -> Array:
        """Change of the outcome's mean with a standard deviation of age, shape (n,)."""
        return np.asarray(self.base.mean_contributions(actions) @ self.moderation)


def standardised_age(columns: ObservedColumns) -> Array:
    """Age of each row in standard deviations from the mean."""
    return np.asarray((columns.covariates["age"] - MEAN_AGE) / AGE_SD)
