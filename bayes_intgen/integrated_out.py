"""Sampling with the coefficients integrated out: NUTS over the hyperparameters alone."""

from collections.abc import Mapping

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.chains import PROBES, Sampled, Settings, run_chains, scattered
from bayes_intgen.checkpoint import Checkpoint
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.condense import Condensed, TermEvidence, TermLikelihood, typical_log_scale
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.groups import by_groups
from bayes_intgen.mechanisms import LogNormal
from bayes_intgen.models import Model
from bayes_intgen.pilot import Pilot
from bayes_intgen.sampling import Draws, NotTheModeError
from bayes_intgen.streamed import Rows
from bayes_intgen.streams import generator

# Log Bayes factor below which the data speak against a term. Zero is what a term has of which
# the data say nothing: its scale must go on following its prior.
AGAINST = -0.01
# Rows from which on other modes are searched for: with fewer, they are near enough to each other
# for chains to pass between them.
MANY_ROWS = 100_000
# How often chains may begin anew from a higher mode that one of them has found.
MOST_RESTARTS = 3


def sample_integrated_out(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: Settings,
    checkpoint: Checkpoint | None,
) -> Sampled:
    """The hyperparameters by NUTS, and with each the coefficients exactly."""
    fixed: dict[str, float] = {}
    if settings.simplify:
        likelihoods = _likelihoods(terms, pilot)
        terms = _adapted(terms, likelihoods)
        fixed = _weak_terms(terms, likelihoods)
    kept = terms.without(fixed)
    dropped = [np.arange(terms.size)[terms.columns[name]] for name in fixed]
    ratio = [np.full(len(d), s) for d, s in zip(dropped, fixed.values(), strict=True)]
    condensed = Condensed.of(
        pilot.sums,
        np.concatenate([np.zeros(0, dtype=int), *dropped]),
        np.concatenate([np.zeros(0), *ratio]) / pilot.sites["noise_sd"],
    )
    posterior = Collapsed.of(model, kept, condensed.sums)
    start = posterior.point(pilot.sites, pilot.posterior.terms)
    search = posterior.highest_mode if len(data) > MANY_ROWS else posterior.mode
    sampled = _hyperparameters(posterior, search(start, settings.progress), settings, checkpoint)
    sites = posterior.sites(sampled.flat)
    rng = generator(settings.seed, "condensed")
    drawn = sampled.given[..., : posterior.size]
    coefficients = condensed.complete(drawn, sites["noise_sd"], rng)
    return Sampled(terms, sites, coefficients, sampled.statistics, fixed)


def _hyperparameters(
    posterior: Collapsed,
    mode: Array,
    settings: Settings,
    checkpoint: Checkpoint | None,
    restarts: int = 0,
) -> Draws:
    """Draws of the hyperparameters, by chains from about a mode or the higher one they find."""
    covariance = posterior.covariance(mode)
    close = by_groups(posterior, mode, scattered(mode, covariance, PROBES, settings, "probes"))
    try:
        return run_chains(
            posterior.density,
            mode,
            covariance,
            settings,
            checkpoint,
            np.exp,
            walked=None if close is None else close.density,
            least_energy=posterior.value(mode) if restarts < MOST_RESTARTS else -np.inf,
            label=f"again{restarts}-" if restarts else "",
        )
    except NotTheModeError as found:
        higher = posterior.mode(found.point, settings.progress)
        return _hyperparameters(posterior, higher, settings, checkpoint, restarts + 1)


def _likelihoods(terms: Decomposition, pilot: Pilot) -> dict[str, TermLikelihood]:
    """What the data say of every borrowed term."""
    mean, covariance = pilot.posterior.moments(pilot.sites)
    found = {}
    for term in terms.terms:
        if term.borrowed:
            columns = terms.columns[term.name]
            scale = float(pilot.sites["scale"][terms.scaled.index(term.name)])
            found[term.name] = TermLikelihood.of(mean[columns], covariance[columns, columns], scale)
    return found


def _adapted(terms: Decomposition, likelihoods: Mapping[str, TermLikelihood]) -> Decomposition:
    """The terms with priors about the scale that their kind typically has in these data."""
    kinds: dict[tuple[LogNormal, str, int], list[str]] = {}
    for term in terms.terms:
        if term.name in likelihoods:
            kind = (term.part.scale, term.part.label, len(term.inputs))
            kinds.setdefault(kind, []).append(term.name)
    scales = {}
    for (prior, *_), names in kinds.items():
        log_median = typical_log_scale(
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
            prior = term.part.scale
            evidence = TermEvidence.of(
                likelihoods[term.name], np.log(prior.median * terms.unit), prior.sigma
            )
            if evidence.log_bayes_factor < AGAINST:
                weak[term.name] = evidence.scale
    return weak
