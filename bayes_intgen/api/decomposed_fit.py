"""Fit of a decomposition: pilot fit, sampler, and the posterior of both."""

from dataclasses import replace
from os import PathLike
from typing import NamedTuple

from bayes_intgen._atomic import writable_target
from bayes_intgen._blas import single_blas_thread
from bayes_intgen._progress import stage
from bayes_intgen._random import generator
from bayes_intgen.api.posterior import Posterior
from bayes_intgen.data.outcome_kind import OutcomeKind
from bayes_intgen.data.rows import Rows
from bayes_intgen.inference.pilot.checkpoint import SavedSums, identity_of_fit
from bayes_intgen.inference.pilot.first_stage import first_terms
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot, pilot_fit
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.samplers import sample_model
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.schema import FittedNoise, build_tree


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
    data = model.law.working_rows(data)
    saved = None if file is None else SavedSums.read(file, identity)
    sample = data.sample(PILOT_ROWS).by_unit()
    # Chains share the cores: if BLAS used several threads per small factorisation, as it does by
    # default, all chains would wait.
    with single_blas_thread(), stage("Pilot fit", settings.progress):
        if saved is None:
            first = first_terms(data, sample, model, terms, settings)
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


def fit_of_pilot(data: Rows, model: Model, settings: SamplerSettings, pilot: Pilot) -> Fit:
    """Sample after a pilot fit; the outcome is on the model's scale."""
    with single_blas_thread():
        sampled = sample_model(data, model, pilot, settings)
    distinct = model.link == "identity" and settings.techniques.outcome_kind
    kind: OutcomeKind = data.outcome_kind if distinct else "continuous"
    draws = sampled.coefficients.shape[1]
    noise = FittedNoise(pilot.spread, pilot.noise_sd, pilot.quantiles)
    if pilot.estimate is not None:
        rng = generator(settings.seed, "noise")
        noise = noise._replace(deviations=pilot.estimate.draw((settings.chains, draws), rng))
    if pilot.student_t is not None:
        noise = noise._replace(student_t=pilot.student_t.law)
    tree = build_tree(
        data,
        model,
        sampled,
        noise,
        kind=kind,
        fit_tests=pilot.fit_tests,
        far=pilot.far if (kind, model.link) == ("continuous", "identity") else None,
        settings=replace(settings, draws=draws),
    )
    return Fit(data, model, settings, pilot, sampled, Posterior(tree))
