"""From data and a model to a posterior."""

import warnings
from dataclasses import replace
from os import PathLike

import jax
from threadpoolctl import threadpool_limits

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.api.posterior import Posterior
from bayes_intgen.assess.diagnostics import warn_of_problems
from bayes_intgen.data.replicates import warn_of_copies
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import PACKAGE, DataError, DataWarning, LackOfFitWarning, ModelError
from bayes_intgen.inference.pilot.lack_of_fit import fit_problems
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot, pilot_fit
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.full import sample_full
from bayes_intgen.inference.sampling.marginalised import sample_marginal
from bayes_intgen.inference.sampling.monitored_effect import MonitoredEffect, monitored_effect
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model, additive
from bayes_intgen.models.advice import advice_on_far_cells, advice_on_levels, few_valued
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.draws import prediction_of
from bayes_intgen.posterior.schema import build_tree


def fit(
    data: Rows,
    model: Model | None = None,
    *,
    seed: int = 0,
    chains: int = 4,
    draws: int | None = None,
    warmup: int = 100,
    target_accept: float = 0.8,
    collapse: bool | None = None,
    simplify: bool = True,
    progress: bool = True,
    checkpoint: str | PathLike[str] | None = None,
) -> Posterior:
    """Sample the posterior of a model with NUTS.

    Where the noise is Gaussian the coefficients are integrated out, NUTS samples the
    hyperparameters, and each draw of the coefficients is exact given them.

    Parameters
    ----------
    data : Observations, StreamedData or DistributedData
        Of rows that are not in memory a sample says what scales, knots and structure are; one
        pass over all of them follows.
    model : Model, optional
        By default ``additive()``: Gaussian processes, unknown graph.
    seed : int
        The same seed gives the same draws.
    chains : int
        Number of chains.
    draws : int, optional
        Iterations of each chain that are kept. By default as many as it takes until every
        hyperparameter, and the joint effect at rows of the data, has 400 effective draws, in the
        bulk and in the tails, and an R-hat of at most 1.01: 200 to 2,000.
    warmup : int
        Iterations of each chain before those, which only adapt.
    target_accept : float
        Acceptance probability to which the step size adapts; nearer to one takes smaller
        steps, which mends divergences.
    collapse : bool, optional
        Whether to integrate the coefficients out; by default wherever the noise allows.
        False samples the written-out program, slowly, to check one against the other.
    simplify : bool
        Whether the data select terms. Terms that another action adds to a bias take their typical
        scale from the data. Where the data speak against such a term it has a small scale, fixed
        in units of the noise, instead of one that is sampled: nearly the same effects in a
        fraction of the time; the tree's ``constant_data`` lists these terms. Finer functions of
        an action, and products of three actions in a bias, join the model where the data ask
        for them. Applies where the coefficients are integrated out.
    progress : bool
        Whether to report on standard error what is being done.
    checkpoint : path, optional
        A folder in which the chains are kept as they grow. Where a fit was stopped or killed, the
        same call goes on from there, to the draws that it would have had.

    Returns
    -------
    Posterior

    Raises
    ------
    DataError
        Where ``data`` is no RegimeData, or the actions determine the outcome exactly, as they do
        where replicates never vary.
    ModelError
        Where the model does not fit the data, or a setting makes no sense.
    SavedFitError
        Where ``checkpoint`` holds another fit.

    Warns
    -----
    DataWarning
        Where a tenth of the rows or more are exact copies of others, an action has three to six
        distinct numbers and a smooth prior, or cells lie far from all others.
    SamplingWarning
        Where the draws are not yet fit for use, with the remedy.
    LackOfFitWarning
        Where the rows show structure of an action that the model does not follow: one warning per
        action, by tests with a joint false-alarm probability of 1%.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> intervened = np.repeat([[False, False], [True, False], [False, True]], 50, axis=0)
    >>> actions = rng.normal(size=(150, 2))
    >>> outcome = actions @ [1.0, -1.0] + rng.normal(scale=0.1, size=150)
    >>> data = RegimeData.from_arrays(actions, outcome, intervened)
    >>> posterior = fit(data, additive(prior="linear"), progress=False)
    >>> round(float(posterior.joint_effect([[1.0, -1.0]]).mean()))
    2
    """
    model = additive() if model is None else model
    if not isinstance(data, Rows):
        raise DataError(
            f"data must be a RegimeData, not {type(data).__name__}; RegimeData.from_frame makes one"
        )
    if not isinstance(model, Model):
        raise ModelError(
            f"model must come from bayes_intgen.models, not be {type(model).__name__}; "
            "models.additive(prior=...) makes one"
        )
    settings = SamplerSettings(
        seed, chains, draws, warmup, target_accept, collapse, simplify, progress
    )
    few = few_valued(data, model)
    advice = [advice_on_levels(few)] if few else []
    for sentence in (*advice, *advice_on_far_cells(data)):
        warnings.warn(sentence, DataWarning, skip_file_prefixes=(PACKAGE,))
    posterior = fit_decomposed(data, model, settings, checkpoint=checkpoint)
    warn_of_copies(data.in_memory)
    _warn_of_draws_and_fit(posterior, MonitoredEffect.of(data, model))
    return posterior


def fit_decomposed(
    data: Rows,
    model: Model,
    settings: SamplerSettings,
    terms: Decomposition | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Posterior:
    """Fit as :func:`fit`, without diagnostics, and with a given decomposition if there is one."""
    settings = _with_sampler(settings, data, model)
    held, others = data.split(PILOT_ROWS)
    terms = model.decompose(held, len(data)) if terms is None else terms
    # Before the pilot fit, which takes long: it raises if the folder belongs to another fit.
    folder = None if checkpoint is None else Checkpoint.of(checkpoint, data, model, settings)
    # Chains share the cores. A BLAS that spreads every small factorisation over all of them, as
    # it does by default, makes all chains wait.
    with jax.enable_x64(True), threadpool_limits(1, "blas"):
        adapts = settings.collapse and settings.simplify
        candidates = model.candidates(held, len(data)) if adapts else ()
        pilot = pilot_fit(data, model, terms, candidates, settings.progress, held, others)
        if folder is not None:
            folder.refuse_other_sums(pilot.sums.xy, pilot.sums.yy)
        sample = sample_marginal if settings.collapse else sample_full
        sampled = sample(data, model, pilot.posterior.terms, pilot, settings, folder)
    draws = sampled.coefficients.shape[1]
    return Posterior(
        build_tree(
            data,
            model,
            sampled,
            pilot.spread,
            noise=_noise(pilot, settings, draws),
            pilot_noise_sd=float(pilot.sites["noise_sd"]),
            fit_tests=pilot.fit_tests,
            settings=replace(settings, draws=draws),
        )
    )


def _with_sampler(settings: SamplerSettings, data: Rows, model: Model) -> SamplerSettings:
    """Decide whether the coefficients are integrated out; raise ModelError if that cannot be."""
    gaussian = model.noise == "gaussian"
    collapse = gaussian if settings.collapse is None else bool(settings.collapse)
    if collapse and not gaussian:
        raise ModelError("coefficients integrate out under Gaussian noise only; leave collapse out")
    if not collapse and data.in_memory is not data:
        raise ModelError(
            "Student-t noise and collapse=False need every row in memory; read the rows with "
            "RegimeData.from_frame, or leave noise and collapse out"
        )
    return replace(settings, collapse=collapse)


def _warn_of_draws_and_fit(posterior: Posterior, probes: MonitoredEffect) -> None:
    """Issue a SamplingWarning for each problem of the draws, and a LackOfFitWarning of the fit."""
    # Not `posterior.effect`: it would warn of rows that are unsupported, at the edge of their
    # regime.
    effect = monitored_effect(prediction_of(posterior), probes.points, probes.masks)
    warn_of_problems(posterior.tree, effect)
    for problem in fit_problems(posterior.tree["constant_data"].dataset):
        warnings.warn(problem, LackOfFitWarning, skip_file_prefixes=(PACKAGE,))


def _noise(pilot: Pilot, settings: SamplerSettings, draws: int) -> dict[str, Array]:
    """Quantiles of the noise's shape, and draws of its variance function."""
    if pilot.estimate is None:
        return {"quantile": pilot.shape}
    rng = generator(settings.seed, "noise")
    deviations = pilot.estimate.draw((settings.chains, draws), rng)
    return {"quantile": pilot.shape, "deviation": deviations}
