"""Fit of a decomposition: pilot fit, sampler, and the posterior of both."""

from dataclasses import replace
from os import PathLike
from typing import NamedTuple

import numpy as np

from bayes_intgen._atomic import writable_target
from bayes_intgen._blas import single_blas_thread
from bayes_intgen._progress import stage
from bayes_intgen._random import generator
from bayes_intgen.api.posterior import Posterior
from bayes_intgen.data.outcome_kind import OutcomeKind
from bayes_intgen.data.outcome_scale import on_scale
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.pilot.checkpoint import SavedSums, identity_of_fit
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.graph_evidence import with_parents
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot, pilot_fit
from bayes_intgen.inference.pilot.recentring import recentred
from bayes_intgen.inference.pilot.student_t import clipped
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.samplers import sample_laplace, sample_marginal
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.posterior.schema import build_tree


class Fit(NamedTuple):
    """Posterior, and what an update of it needs.

    Attributes
    ----------
    data : Rows
        With outcomes on the scale on which the model adds up.
    model : Model
    settings : SamplerSettings
    pilot : Pilot
    sampled : SampledModel
    posterior : Posterior
    """

    data: Rows
    model: Model
    settings: SamplerSettings
    pilot: Pilot
    sampled: SampledModel
    posterior: Posterior


def fit_decomposed(
    data: Rows,
    model: Model,
    settings: SamplerSettings,
    terms: Decomposition | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Fit:
    """Fit like :func:`bayes_intgen.fit`, without warnings.

    The decomposition is the model's if it is None.
    """
    # Before the outcome is on the scale on which the model adds up.
    file = None if checkpoint is None else writable_target(checkpoint)
    identity = identity_of_fit(data, model, settings.simplify) if file else {}
    data = on_scale(data, model.link)
    saved = None if file is None else SavedSums.read(file, identity)
    sample = data.sample(PILOT_ROWS).by_unit()
    # Chains share the cores: if BLAS used several threads per small factorisation, as it does by
    # default, all chains would wait.
    with single_blas_thread(), stage("Pilot fit", settings.progress):
        if saved is None:
            first = _first_terms(data, sample, model, terms, settings)
        else:
            first = saved.terms, saved.candidates
        pilot = pilot_fit(
            data,
            model,
            *first,
            settings.progress,
            sample,
            saved,
            settings.techniques,
        )
        if file is not None and saved is None and pilot.compared is not None:
            names = tuple(term.name for term in pilot.compared.terms.terms)
            SavedSums(*first, names, pilot.compared.sums).write(file, identity)
    return fit_of_pilot(data, model, settings, pilot)


def _first_terms(
    data: Rows,
    sample: Observations,
    model: Model,
    terms: Decomposition | None,
    settings: SamplerSettings,
) -> tuple[Decomposition, tuple[Term, ...]]:
    """Terms of the first fit, and candidates for more, with centres and means over all rows."""
    if terms is None:
        # Outliers would widen the unit of all priors.
        typical = clipped(sample) if model.noise == "student_t" else sample
        terms = model.decompose(typical, len(data))
    candidates: tuple[Term, ...] = ()
    if settings.simplify:
        considered = filter(settings.techniques.considers, model.candidates(sample, len(data)))
        candidates = tuple(considered)
    terms, candidates = recentred(terms, candidates, data, len(sample), settings.progress)
    if not settings.techniques.control_variables:
        return with_parents(sample, model, terms), candidates
    terms, candidates = with_observed_causes(
        sample, model, terms, candidates, data, settings.progress
    )
    # Products with control variables are candidates only where rows select terms.
    return (terms, candidates) if settings.simplify else (terms.and_terms(candidates), ())


def fit_of_pilot(data: Rows, model: Model, settings: SamplerSettings, pilot: Pilot) -> Fit:
    """Sample after a pilot fit; the outcome is on the model's scale."""
    sample_model = sample_laplace if settings.method == "laplace" else sample_marginal
    with single_blas_thread():
        sampled = sample_model(data, model, pilot, settings)
    distinct = model.link == "identity" and settings.techniques.outcome_kind
    kind: OutcomeKind = data.outcome_kind if distinct else "continuous"
    draws = sampled.coefficients.shape[1]
    noise = {"quantile": pilot.quantiles}
    if pilot.estimate is not None:
        rng = generator(settings.seed, "noise")
        noise["deviation"] = pilot.estimate.draw((settings.chains, draws), rng)
    if pilot.student_t is not None:
        noise |= {name: np.array(value) for name, value in pilot.student_t.law._asdict().items()}
    tree = build_tree(
        data,
        model,
        sampled,
        pilot.spread,
        kind=kind,
        noise=noise,
        pilot_noise_sd=pilot.noise_sd,
        fit_tests=pilot.fit_tests,
        far=pilot.far if (kind, model.link) == ("continuous", "identity") else None,
        settings=replace(settings, draws=draws),
    )
    return Fit(data, model, settings, pilot, sampled, Posterior(tree))
