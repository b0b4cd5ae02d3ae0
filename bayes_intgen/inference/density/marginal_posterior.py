"""Marginal posterior of the hyperparameters of a decomposition, given sums over rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.target import Target
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models import Model
from bayes_intgen.models.hyperpriors import Hyperpriors
from bayes_intgen.models.terms import Decomposition


@dataclass(frozen=True, eq=False)
class MarginalPosterior:
    """Marginal posterior of the hyperparameters of a decomposition.

    Attributes
    ----------
    priors : Hyperpriors
    sums : SufficientStatistics
        Of the columns of the same coefficients.
    terms : Decomposition
    """

    priors: Hyperpriors
    sums: SufficientStatistics
    terms: Decomposition

    @classmethod
    def of(cls, model: Model, terms: Decomposition, sums: SufficientStatistics) -> Self:
        """Combine statistics with the priors of a model."""
        return cls(model.hyperpriors(terms), sums, terms)

    @cached_property
    def target(self) -> Target:
        """Log density of the logarithms of the hyperparameters, a flat vector of length D."""
        return Target.of(self.priors, self.sums)

    @property
    def start(self) -> Array:
        """Logarithms of the hyperparameters at their prior medians, shape (D,)."""
        return np.asarray(self.target.prior.mean)

    def sites(self, flat: Array) -> dict[str, Array]:
        """Hyperparameters by name, from flat vectors (..., D)."""
        return self.target.sites(flat)

    def conditional(self, sites: Mapping[str, Any]) -> Conditional:
        """Conditional distribution of the coefficients given the hyperparameters."""
        return self.target.conditional(sites)

    def moments(self, sites: Mapping[str, Any]) -> tuple[Array, Array]:
        """Mean and covariance of the coefficients given the hyperparameters."""
        conditional = self.conditional(sites)
        return conditional.mean, conditional.covariance

    def point(self, sites: Mapping[str, Any], terms: Decomposition) -> Array:
        """Starting point, shape (D,), from the hyperparameters of another decomposition.

        Hyperparameters that it lacks start at their prior medians.
        """
        start = self.start.copy()
        before, now = labels_of(terms), labels_of(self.terms)
        for name, index in self.target.prior.positions.items():
            if name not in before:
                start[index] = np.log(sites[name])
                continue
            values = dict(zip(before[name], np.log(sites.get(name, ())), strict=True))
            for i, label in zip(index, now[name], strict=True):
                start[i] = values.get(label, start[i])
        return start


def labels_of(terms: Decomposition) -> dict[str, tuple[str, ...]]:
    """Labels of the scales and of the lengthscales, by site."""
    return {"scale": tuple(terms.scaled), "lengthscale": tuple(terms.lengthscales)}
