"""Fit a model to data: pilot fit, sampler, posterior, updates, and warnings."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import NamedTuple

from bayes_intgen._arguments import hints_for_names, instance, seed_number
from bayes_intgen._atomic import writable_target
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._work import single_blas_thread, stage
from bayes_intgen.api.posterior import Posterior
from bayes_intgen.assess.findings import (
    Finding,
    of_copies,
    of_fit,
    of_rows,
    store_findings,
    warn_of,
)
from bayes_intgen.data.regime_data import RegimeData, with_rows
from bayes_intgen.data.rows import Rows
from bayes_intgen.data.validation import checked_data
from bayes_intgen.errors import DataError
from bayes_intgen.inference.pilot.carryover import with_carryover
from bayes_intgen.inference.pilot.checkpoint import SavedSums, identity_of_fit
from bayes_intgen.inference.pilot.first_stage import first_terms
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot, pilot_fit
from bayes_intgen.inference.pilot.updated_pilot import updated_pilot
from bayes_intgen.inference.sampling.samplers import sample_model
from bayes_intgen.inference.settings import Method, SampledModel, SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.codec import refuse_unsaved
from bayes_intgen.models.specification import DEFAULT_MODEL, checked_model
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.schema import build_tree

# Remedies for names of other samplers' arguments. Python itself suggests names that are similar.
OTHER_NAMES = {
    **dict.fromkeys(("random_seed", "rng_key"), "use seed"),
    **dict.fromkeys(("tune", "num_warmup"), "use warmup"),
    "num_samples": "use draws",
    **dict.fromkeys(("cores", "chain_method"), "chains run in parallel by themselves"),
    "num_chains": "use chains",
    **dict.fromkeys(("nuts_sampler", "step"), 'use method, "nuts" or "laplace"'),
}


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
    rated = model
    if model.carryover:
        data, rated = with_carryover(data, model, settings.progress)
    data = model.law.working_rows(data)
    saved = None if file is None else SavedSums.read(file, identity)
    sample = data.sample(PILOT_ROWS).by_fine_group()
    # Chains share the cores: if BLAS used several threads per small factorisation, as it does by
    # default, all chains would wait.
    with single_blas_thread(), stage("Pilot fit", settings.progress):
        if saved is None:
            first = first_terms(data, sample, rated, terms, settings)
        else:
            first = saved.terms, saved.candidates
        pilot = pilot_fit(
            data,
            rated,
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
    tree = build_tree(data, model, pilot, sampled, settings)
    posterior = Posterior(tree, (model, sampled.terms, pilot.mode.spread))
    return Fit(data, model, settings, pilot, sampled, posterior)


@hints_for_names(OTHER_NAMES)
@takes_rng
def fit(
    data: Rows,
    model: Model | None = None,
    *,
    method: Method = "nuts",
    seed: Seed = 0,
    chains: int = 4,
    draws: int | None = None,
    warmup: int = 75,
    target_accept: float = 0.7,
    simplify: bool = True,
    progress: bool = True,
    checkpoint: str | PathLike[str] | None = None,
) -> Posterior:
    """Sample the posterior of a model, with NUTS or from a Laplace approximation.

    The coefficients are marginalised: NUTS samples the hyperparameters, and the coefficients are
    drawn exactly given each draw of them. With Student-t noise, outcomes are replaced by
    pseudo-values, whose residuals are bounded.

    ``method="laplace"`` draws the hyperparameters about the modes of their posterior instead, and
    importance weights from the exact density correct the draws. It takes a fraction of the time,
    for loops, previews and cross-validation, and its gate is Pareto k.

    Parameters
    ----------
    data : RegimeData, StreamedData or DistributedData
        For rows that are not in memory, a sample determines scales and knots, and passes over all
        rows the rest. From 50,000 rows on, smooth functions are interpolated in sums over rows,
        which moved answers by less than 0.02 posterior standard deviations with 300,000 rows.
    model : Model, optional
        By default ``additive()``: Gaussian processes, unknown graph.
    method : {"nuts", "laplace"}
        Draws of ``"laplace"`` are equally weighted and
        independent of each other; the group ``sample_stats`` has the attributes ``pareto_k`` and
        ``importance_ess`` instead of divergences.
    seed : int or NumPy Generator
        The same seed gives the same draws: the default is 0, so that a table always has the same
        answer. Here and wherever a seed is taken, ``rng`` is another name for it, and a generator
        draws a seed.
    chains : int
        Number of chains.
    draws : int, optional
        Number of draws per chain. By default 200 to 2,000, until every hyperparameter, and the
        joint effect at rows of the data, has an effective sample size of 400, in the bulk and in
        the tails, and an R-hat of at most 1.01. With ``method="laplace"`` 250.
    warmup : int
        Number of iterations per chain before the draws, for adaptation (NUTS only).
    target_accept : float
        Target acceptance probability of the step size adaptation; values nearer to one give
        smaller steps and fewer divergences (NUTS only).
    simplify : bool
        Whether the data select terms. Terms with evidence against them, or hardly any for functions
        of covariates and groups alone, keep a small scale, fixed in units of the noise, and are not
        sampled, which gives nearly the same effects in a fraction of the time. The tree's
        ``constant_data`` lists them, and errors of control variables, whose scale is known and
        which are never sampled. Finer functions of an action, and functions of single causes
        in a bias, join the model if there is strong evidence for them.
    progress : bool
        Whether to show progress on standard error.
    checkpoint : path, optional
        File for the sums over all rows, written before sampling. After an interruption the same
        call samples without reading the rows again, and gives the draws of an uninterrupted fit.

    Returns
    -------
    Posterior

    Raises
    ------
    DataError
        If ``data`` is of another class, or the actions determine the outcome exactly, for example
        because replicates never vary.
    ModelError
        If the model does not match the data, or a setting is invalid.
    SavedFitError
        If ``checkpoint`` is of another fit, or damaged.
    BayesIntgenError
        In a process forked from one that had fitted, or if JAX's platform is not available.

    Warns
    -----
    DataWarning
        One per cause, with all columns that it concerns. Effects may not add up: the outcome is at
        its lowest or highest value in 5% of rows or more, is a proportion, is zero or one with one
        of them rarer than 10%, or is a count whose variance grows faster than its mean. A column
        mixes two units. A tenth of the rows or more are exact copies of others, an action has
        three to six distinct numbers and a smooth prior, cells lie far from all others, the
        distribution of a covariate changes where an action is set, or outcomes lie so far from a
        fit with Gaussian noise that they decide its intervals.
    SamplingWarning
        If the chains have not converged, or Pareto k is above 0.7; the message names the remedy.
    LackOfFitWarning
        If the rows show structure that the model does not follow, from tests with a joint
        false-alarm probability of 1%.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> intervened = np.repeat([[False, False], [True, False], [False, True]], 50, axis=0)
    >>> actions = rng.normal(size=(150, 2))
    >>> outcome = actions @ [1.0, -1.0] + rng.normal(scale=0.1, size=150)
    >>> data = bi.RegimeData.from_arrays(actions, outcome, intervened)
    >>> posterior = bi.fit(data, bi.models.additive(prior="linear"), progress=False)
    >>> round(float(posterior.joint_effect([[1.0, -1.0]]).mean()))
    2
    """
    data = checked_data(data)
    if model is None:
        model = DEFAULT_MODEL
    else:
        refuse_unsaved(checked_model(model))
    settings = SamplerSettings(
        seed_number(seed), chains, draws, warmup, target_accept, simplify, progress, method
    )
    before = data.passes.made - data.passes.first
    found = of_rows(data, model)
    warn_of(found)
    fit = fit_decomposed(data, model, settings, checkpoint=checkpoint)
    warn_of_fit(fit, data, found)
    # With those by which the data were made.
    fit.posterior.tree["fit"].attrs["passes"] = data.passes.made - before
    return updatable_posterior(fit, data)


def updatable_posterior(fit: Fit, data: Rows, earlier: Fit | None = None) -> Posterior:
    """Posterior of a fit to data, which :meth:`Posterior.update` can refit if rows are in memory.

    If it has the terms of an ``earlier`` fit, updates start from that one.
    """
    posterior = copy(fit.posterior)
    if isinstance(data, RegimeData):
        posterior._refit = partial(_updated, data, earlier or fit)
    return posterior


def _updated(data: RegimeData, fit: Fit, new_rows: RegimeData, progress: bool) -> Posterior:
    """Fit all rows, with the terms of the earlier ones if they still fit.

    The fit is a Laplace approximation, or one by NUTS where that was asked for and weights do not
    suffice.
    """
    instance(new_rows, RegimeData, "new_rows", "RegimeData.from_frame", DataError)
    rows = with_rows(data, new_rows)
    model, settings = fit.model, replace(fit.settings, progress=bool(progress))
    quick = replace(settings, method="laplace")
    found = of_rows(rows, model)
    warn_of(found)
    scaled = model.law.working_rows(rows).in_memory
    with single_blas_thread():
        pilot = updated_pilot(fit.pilot, fit.data.in_memory, scaled, model, settings.progress)
    if pilot is None:
        new = fit_decomposed(rows, model, quick)
    else:
        new = fit_of_pilot(scaled, model, quick, pilot)
    importance = new.sampled.importance
    if settings.method == "nuts" and importance and not importance.is_reliable:
        new = fit_of_pilot(new.data, model, settings, new.pilot)
    warn_of_fit(new, rows, found)
    return updatable_posterior(
        new._replace(settings=settings), rows, earlier=None if pilot is None else fit
    )


def warn_of_fit(fit: Fit, data: Rows, found: Sequence[Finding]) -> None:
    """Warn of copies of rows and of what draws and residuals show.

    What was ``found`` in the rows before is kept with the posterior.
    """
    copies = of_copies(data, fit.model)
    store_findings(fit.posterior.tree["fit"].attrs, [*found, *copies])
    warn_of([*copies, *of_fit(fit.posterior)])
