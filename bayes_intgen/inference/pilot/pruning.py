"""The model that is sampled: what weak terms add keeps the scale that the data give it."""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.elimination import (
    ReducedStatistics,
    TermEvidence,
    TermLikelihood,
    empirical_bayes_log_scale,
)
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.models import Model
from bayes_intgen.models.mechanisms.mechanism import LogNormal
from bayes_intgen.models.terms import Decomposition

# Log Bayes factor below which the data speak against a term. Zero is what a term has of which
# the data say nothing: its scale must go on following its prior.
AGAINST = -0.01


class PrunedModel(NamedTuple):
    """A model in which some scales are fixed, and their coefficients integrated out.

    Attributes
    ----------
    terms : Decomposition
        All, with priors about the scales that their kinds typically have in these data.
    fixed : dict from term to float
        The scales that are fixed.
    condensed : ReducedStatistics
        The sums without the coefficients of those terms.
    posterior : MarginalPosterior
        Of the hyperparameters that are left.
    """

    terms: Decomposition
    fixed: dict[str, float]
    condensed: ReducedStatistics
    posterior: MarginalPosterior

    @classmethod
    def of(cls, model: Model, terms: Decomposition, pilot: Pilot, simplify: bool) -> Self:
        """By what the data say of every borrowed term at the pilot's mode, if that is wanted."""
        fixed: dict[str, float] = {}
        if simplify:
            likelihoods = _likelihoods(terms, pilot)
            terms = _adapted(terms, likelihoods)
            fixed = _weak_terms(terms, likelihoods)
        dropped = [np.arange(terms.size)[terms.columns[name]] for name in fixed]
        ratio = [np.full(len(d), s) for d, s in zip(dropped, fixed.values(), strict=True)]
        condensed = ReducedStatistics.of(
            pilot.sums,
            np.concatenate([np.zeros(0, dtype=int), *dropped]),
            np.concatenate([np.zeros(0), *ratio]) / pilot.sites["noise_sd"],
        )
        return cls(
            terms,
            fixed,
            condensed,
            MarginalPosterior.of(model, terms.without(fixed), condensed.sums),
        )


def _likelihoods(terms: Decomposition, pilot: Pilot) -> dict[str, TermLikelihood]:
    """What the data say of every borrowed term."""
    mean, covariance = pilot.posterior.moments(pilot.sites)
    found = {}
    for term in terms.terms:
        if term.cross_action:
            columns = terms.columns[term.name]
            scale = float(pilot.sites["scale"][terms.scaled.index(term.name)])
            found[term.name] = TermLikelihood.of(mean[columns], covariance[columns, columns], scale)
    return found


def _adapted(terms: Decomposition, likelihoods: Mapping[str, TermLikelihood]) -> Decomposition:
    """The terms with priors about the scale that their kind typically has in these data."""
    kinds: dict[tuple[LogNormal, str, int], list[str]] = {}
    for term in terms.terms:
        if term.name in likelihoods:
            kind = (term.component.scale, term.component.label, len(term.inputs))
            kinds.setdefault(kind, []).append(term.name)
    scales = {}
    for (prior, *_), names in kinds.items():
        log_median = empirical_bayes_log_scale(
            [likelihoods[name] for name in names],
            np.log(prior.median * terms.unit),
            prior.sigma,
        )
        typical = LogNormal(float(np.exp(log_median)) / terms.unit, prior.sigma)
        scales.update(dict.fromkeys(names, typical))
    return terms.with_scales(scales)


def _weak_terms(
    terms: Decomposition, likelihoods: Mapping[str, TermLikelihood]
) -> dict[str, float]:
    """Borrowed terms with evidence against them, each with the scale it keeps."""
    weak = {}
    for term in terms.terms:
        if term.name in likelihoods:
            prior = term.component.scale
            evidence = TermEvidence.of(
                likelihoods[term.name], np.log(prior.median * terms.unit), prior.sigma
            )
            if evidence.log_bayes_factor < AGAINST:
                weak[term.name] = evidence.scale
    return weak
