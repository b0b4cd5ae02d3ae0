"""Posterior of a fit with a few more rows, by importance weights.

Statistics of the added rows join those of the earlier ones. Coordinates, functions, fixed scales
and the distribution of the noise stay those of the pilot fit: an eighth more rows would hardly
change them. They are estimated anew once rows have grown by more, and where the added rows are
unlike the earlier ones.

Draws of NUTS are weighted by the ratio of both densities (the first step of Chopin, "A sequential
particle filter method for static models", Biometrika 2002). Where too few of them are effective,
and with draws of a Laplace approximation, which are worth fewer, they give the moments of a first
proposal. Where forward selection adds other terms, whose scales have no draws yet, a Laplace
approximation does.
"""

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.evaluated_draws import EvaluatedDraws
from bayes_intgen.inference.density.importance import (
    ImportanceDraws,
    Proposal,
    StudentT,
    importance_draws,
)
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.pareto_smoothing import smoothed_weights
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.importance_diagnostics import MIN_ESS, ImportanceDiagnostics
from bayes_intgen.inference.pilot.conditional_means import with_conditional_means
from bayes_intgen.inference.pilot.graph_evidence import with_parents
from bayes_intgen.inference.pilot.needs_new_pilot import needs_new_pilot
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot
from bayes_intgen.inference.pilot.pruning import PrunedModel
from bayes_intgen.inference.pilot.reselection import reselected_terms
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.convergence import ESS_LIMIT, ess_bulk
from bayes_intgen.inference.sampling.laplace import resampled, sample_laplace
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition

# Number of draws that are weighted at once. Maximum numbers of these, and of proposals, after which
# a new fit is faster.
BATCH_SIZE, MAX_DRAWS, MAX_PROPOSALS = 400, 2000, 2400
# Share of the effective draws that are needed, below which no more draws are weighted.
MIN_EXPECTED = 0.7
# Minimum number of earlier draws per hyperparameter.
MIN_DRAWS_PER_SITE = 5


def sample_with_added_rows(
    data: Observations,
    count: int,
    model: Model,
    pilot: Pilot,
    sampled: SampledModel,
    settings: SamplerSettings,
) -> SampledModel | None:
    """Sample the posterior given more rows, from draws of the posterior without them.

    Parameters
    ----------
    data : Observations
        All rows, the added ones last, with outcomes on the model's scale.
    count : int
        Number of the earlier rows.
    model : Model
    pilot : Pilot
        Of the earlier rows.
    sampled : SampledModel
        Draws given these rows.
    settings : SamplerSettings

    Returns
    -------
    SampledModel or None
        None if the rows need a new pilot fit, or importance weights do not suffice.
    """
    total, size = sampled.statistics["lp"].size, pilot.posterior.layout.size
    if total < max(MIN_ESS, MIN_DRAWS_PER_SITE * size):
        return None
    selection = pilot.selection
    if selection is None or needs_new_pilot(data, count, model, pilot, sampled):
        return None
    added = data.take(slice(count, None))
    additions = reselected_terms(selection, data, added, model, pilot.spread)
    if additions is None:
        return None
    # The same functions are the same objects.
    new_terms = None if additions is selection.additions else selection.base.and_terms(additions)
    posterior = _posterior(data, added, model, pilot, new_terms, settings.progress)
    terms, sums = posterior.terms, posterior.sums
    start = posterior.point(pilot.sites, pilot.posterior.terms)
    grown = Pilot.of(posterior, sums, pilot.spread, settings.progress, start)
    if [term.name for term in additions] != [term.name for term in selection.additions]:
        other = sample_laplace(data, model, terms, grown, settings, None)
        return other if other.importance and other.importance.is_reliable else None
    pruned = PrunedModel.of(model, terms, grown, settings.simplify, tuple(sampled.fixed_scales))
    points = _points(pruned.posterior, sampled)
    if sampled.importance is None:
        evaluated = EvaluatedDraws(pruned.posterior, settings.seed)
        draws = _weighted(points, sampled.statistics["lp"], evaluated)
        if draws.diagnostics.is_reliable:
            return resampled(draws, evaluated, pruned, settings)
    evaluated = EvaluatedDraws(pruned.posterior, settings.seed)
    points = points.reshape(-1, points.shape[-1])
    root = np.linalg.cholesky(np.cov(points, rowvar=False))
    proposal = Proposal(np.ones(1), (StudentT(points.mean(axis=0), root),))
    rng = generator(settings.seed, "proposals")
    draws = importance_draws(evaluated.values, proposal, rng, settings.progress, MAX_PROPOSALS)
    if not draws.diagnostics.is_reliable:
        return None
    return resampled(draws, evaluated, pruned, settings)


def _posterior(
    data: Observations,
    added: Observations,
    model: Model,
    pilot: Pilot,
    new_terms: Decomposition | None,
    progress: bool,
) -> MarginalPosterior:
    """Posterior given all rows, before pruning.

    The graph, and means of biases given observed causes, are estimated anew: they move answers more
    than all else that depends on the data. Those of many rows stay, so that only the added rows are
    read.
    """
    earlier, spread = pilot.posterior.terms, pilot.spread
    terms = new_terms or earlier
    if len(data) <= PILOT_ROWS:
        sample = data.by_unit()
        terms = with_conditional_means(sample, with_parents(sample, model, terms))
    # Means are equal only if they are the same objects.
    if new_terms or terms.conditional_means != earlier.conditional_means:
        sums = sufficient_statistics(data.evaluated(), terms, spread, progress)
    else:
        more = sufficient_statistics(added, terms, spread, progress)._replace(known=None)
        sums = pilot.sums._replace(known=None).merge(more)._replace(known=pilot.sums.known)
    return MarginalPosterior.of(model, terms, sums)


def _weighted(points: Array, log_density: Array, evaluated: EvaluatedDraws) -> ImportanceDraws:
    """Weight draws (chain, draw, D) of NUTS, of this log density (chain, draw), by the new one.

    Every so many draws of a chain come first, and then those between them until there are enough.
    The effective sample size is that of the weights times the share of effective draws.
    """
    chains, count, size = points.shape
    total, effective = chains * count, float(np.min(ess_bulk(points)))
    step = -(-total // BATCH_SIZE)
    flat, ratio, density = np.zeros((0, size)), np.zeros(0), np.zeros(0)
    for first in range(step):
        more = points[:, first::step].reshape(-1, size)
        new = -evaluated.values(more)
        flat, density = np.concatenate([flat, more]), np.append(density, new)
        ratio = np.append(ratio, new - log_density[:, first::step].ravel())
        weights, pareto_k = smoothed_weights(ratio)
        of_weights = 1 / float(weights @ weights)
        ess = min(effective / len(flat), 1.0) * of_weights
        expected = min(effective, total) * of_weights / len(flat)
        # As many draws as there are effective ones are nearly independent: more add little.
        is_enough = ess >= ESS_LIMIT or (ess >= MIN_ESS and len(flat) >= effective)
        if is_enough or len(flat) >= MAX_DRAWS or expected < MIN_EXPECTED * MIN_ESS:
            break
    diagnostics = ImportanceDiagnostics(pareto_k, ess, len(flat))
    return ImportanceDraws(flat, density, weights, diagnostics)


def _points(posterior: MarginalPosterior, sampled: SampledModel) -> Array:
    """Flat vectors (chain, draw, D) of the draws' hyperparameters."""
    lead = sampled.coefficients.shape[:2]
    sites = [sampled.sites[name].reshape(*lead, -1) for name, _ in posterior.layout.shapes]
    return np.log(np.concatenate(sites, axis=-1))
