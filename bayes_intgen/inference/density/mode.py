"""Fit at the mode of its hyperparameters, which the steps before sampling work with."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.combined import RateError
from bayes_intgen.basis.control import ControlError
from bayes_intgen.inference.density.approximation import QUICK_TOLERANCE, find_mode
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.conditional import Conditional, ReducedStatistics
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import VarianceFunction

# Change of the log noise during a search for the mode above which the search is repeated, and
# maximum number of searches.
MAX_CHANGE_OF_NOISE, MAX_SEARCHES = 0.05, 3


@dataclass(frozen=True, eq=False)
class Mode:
    """Posterior of the hyperparameters, with their values at its mode.

    Attributes
    ----------
    posterior : MarginalPosterior
        Given the statistics of rows, weighted by the inverse of the variance function.
    spread : VarianceFunction
        Variance function of the noise.
    sites : dict
        Hyperparameters.
    """

    posterior: MarginalPosterior
    spread: VarianceFunction
    sites: dict[str, Array]

    @classmethod
    def of(
        cls,
        posterior: MarginalPosterior,
        spread: VarianceFunction,
        progress: bool,
        start: Array | None = None,
    ) -> Self:
        """Find the mode of a posterior, from the prior medians or another ``start``, shape (D,).

        The search is without errors of control variables, which have no hyperparameters: a third
        of the columns where actions are many.
        """
        flat, terms = posterior.start if start is None else start, posterior.terms
        errors = error_scales(terms, posterior.sums)
        for _ in range(MAX_SEARCHES):
            noise_sd = float(posterior.sites(flat)["noise_sd"])
            reduced = ReducedStatistics.without(errors, terms, posterior.sums, noise_sd)
            priors = posterior.priors.select(reduced.remaining)
            without = MarginalPosterior.given(priors, reduced.sums, terms.without(errors))
            flat = find_mode(without, flat, progress, QUICK_TOLERANCE)
            change = np.log(float(posterior.sites(flat)["noise_sd"]) / noise_sd)
            # The scale of the errors, in units of the noise, is that of the start.
            if not errors or abs(change) < MAX_CHANGE_OF_NOISE:
                break
        return cls(posterior, spread, posterior.sites(flat))

    def given(self, sums: SufficientStatistics, spread: VarianceFunction) -> Self:
        """The same hyperparameters, with other sums over rows for the same terms."""
        posterior = MarginalPosterior.given(self.posterior.priors, sums, self.terms)
        return replace(self, posterior=posterior, spread=spread)

    @property
    def terms(self) -> Decomposition:
        """Terms of the coefficients."""
        return self.posterior.terms

    @property
    def point(self) -> Array:
        """Logarithms of the hyperparameters, shape (D,)."""
        return self.posterior.point(self.sites, self.terms)

    @cached_property
    def conditional(self) -> Conditional:
        """Distribution of the coefficients given the hyperparameters."""
        return self.posterior.conditional(self.sites)

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise."""
        return float(self.sites["noise_sd"])


def error_scales(terms: Decomposition, sums: SufficientStatistics) -> dict[str, float]:
    """Errors of control variables on which no pseudo-observation depends, and their scales.

    Their prior is known. That it becomes one in units of the noise, whose standard deviation the
    rows determine within a few per cent, changes next to nothing.
    """
    known = sums.known
    return {
        term.name: term.fixed_sd * terms.unit
        for term in terms.terms
        if isinstance(term.component.basis, ControlError | RateError)
        and term.fixed_sd is not None
        and (known is None or not np.any(np.asarray(known.matrix)[:, terms.columns[term.name]]))
    }
