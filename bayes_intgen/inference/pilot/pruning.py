"""Pruning: terms without enough evidence for them get a fixed scale, and are eliminated.

So are errors of control variables, whose scale is known and whose number would grow with that of
the causes.
"""

from typing import NamedTuple, Self

import numpy as np

from bayes_intgen.basis.basis import CentredBasis
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.elimination import (
    ReducedStatistics,
    TermEvidence,
    TermLikelihood,
)
from bayes_intgen.inference.pilot.pilot import Pilot, control_error_scales
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition, Term

# Log Bayes factor below which a term is pruned. A term that the data do not inform has a log Bayes
# factor of zero up to rounding; its scale must keep its prior.
MAX_LOG_BAYES_FACTOR = -0.01
# The same for centred functions of covariates and groups alone, hardly more evidence for them than
# against. They average zero over the population, so that the uncertainty of their scales hardly
# enters answers. Levels that nothing but exchangeability separates from biases are not among them:
# their scales widen intervals. Of 40 tables with three covariates
# and a grouping that do not matter, 18 keep such a term without this threshold, and 6 with it. In
# 99 worlds with weak effects of covariates or groups, in which it fixes a scale, errors are the
# same (ratio 1.000, standard error 0.002), and coverage of 90% intervals is 0.904 after 0.908. Up
# to a threshold of 1 errors would grow (ratio 1.007, standard error 0.003, in 72 such worlds).
MAX_LOG_BAYES_FACTOR_WITHOUT_ACTIONS = 0.5


class PrunedModel(NamedTuple):
    """A model with some scales fixed, and their coefficients marginalised.

    Attributes
    ----------
    terms : Decomposition
        All terms.
    fixed : dict from term to float
        Fixed scales.
    statistics : ReducedStatistics
        Statistics after elimination of the coefficients with fixed scales.
    posterior : MarginalPosterior
        Posterior of the remaining hyperparameters.
    """

    terms: Decomposition
    fixed: dict[str, float]
    statistics: ReducedStatistics
    posterior: MarginalPosterior

    @classmethod
    def of(cls, model: Model, pilot: Pilot, prunes: bool) -> Self:
        """Prune cross-action terms by their evidence at the pilot's mode, if ``prunes``.

        Errors of control variables are eliminated in any case.
        """
        terms = pilot.posterior.terms
        weak = weak_terms(pilot) if prunes else {}
        fixed = control_error_scales(terms, pilot.posterior.sums.known) | weak
        statistics = ReducedStatistics.without(fixed, terms, pilot.posterior.sums, pilot.noise_sd)
        posterior = MarginalPosterior.of(model, terms.without(fixed), statistics.sums)
        return cls(terms, fixed, statistics, posterior)


def weak_terms(pilot: Pilot) -> dict[str, float]:
    """Cross-action terms with evidence against them at the pilot's mode, and their fixed scales."""
    terms, weak = pilot.posterior.terms, {}
    mean, covariance = pilot.posterior.moments(pilot.sites)
    for term in terms.terms:
        if not term.can_be_pruned:
            continue
        columns, prior = terms.columns[term.name], term.component.scale
        scale = float(pilot.sites["scale"][terms.scaled.index(term.name)])
        likelihood = TermLikelihood.of(mean[columns], covariance[columns, columns], scale)
        evidence = TermEvidence.of(likelihood, np.log(prior.median * terms.unit), prior.sigma)
        if evidence.log_bayes_factor < _max_log_bayes_factor(term, len(terms.names)):
            weak[term.name] = evidence.scale
    return weak


def _max_log_bayes_factor(term: Term, actions: int) -> float:
    """Log Bayes factor below which a term is pruned; there are ``actions`` actions."""
    centred = isinstance(term.component.basis, CentredBasis)
    if centred and all(i >= actions for i in term.inputs):
        return MAX_LOG_BAYES_FACTOR_WITHOUT_ACTIONS
    return MAX_LOG_BAYES_FACTOR
