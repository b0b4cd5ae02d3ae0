"""From data and a model to a posterior."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from os import PathLike
from typing import Any, NamedTuple

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from bayes_intgen.bases import Array
from bayes_intgen.checkpoint import Checkpoint
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.condense import Condensed, TermEvidence, TermLikelihood, typical_log_scale
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.diagnostics import warn_of_problems
from bayes_intgen.errors import DataError, ModelError
from bayes_intgen.groups import by_groups
from bayes_intgen.mechanisms import LogNormal
from bayes_intgen.models import Model, additive
from bayes_intgen.passes import known_rows
from bayes_intgen.pilot import PILOT_ROWS, Pilot, pilot_fit
from bayes_intgen.posterior import Posterior
from bayes_intgen.regimes import RegimeData
from bayes_intgen.sampling import Draws, NotTheModeError, nuts
from bayes_intgen.streamed import ReadInPasses, Rows
from bayes_intgen.streams import Purpose, generator
from bayes_intgen.targets import Layout, Target
from bayes_intgen.tree import assemble
from bayes_intgen.walk import Density, Energy

# Log Bayes factor below which the data speak against a term. Zero is what a term has of which
# the data say nothing: its scale must go on following its prior.
AGAINST = -0.01
# Points at which the density that is walked is compared with the exact one.
PROBES = 24
# Rows from which on other modes are searched for: with fewer, they are near enough to each other
# for chains to pass between them.
MANY_ROWS = 100_000
# How often chains may begin anew from a higher mode that one of them has found.
MOST_RESTARTS = 3


class Settings(NamedTuple):
    """How long to sample, and from which seed."""

    seed: int
    chains: int
    draws: int | None
    warmup: int
    target_accept: float
    collapse: bool
    simplify: bool
    progress: bool


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
    data : RegimeData, StreamedData or DistributedData
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
        hyperparameter has 400 effective draws, in the bulk and in the tails, and an R-hat of at
        most 1.01: 200 to 2,000.
    warmup : int
        Iterations of each chain before those, which only adapt.
    target_accept : float
        Acceptance probability to which the step size adapts; nearer to one takes smaller
        steps, which mends divergences.
    collapse : bool, optional
        Whether to integrate the coefficients out; by default wherever the noise allows.
        False samples the written-out program, slowly, to check one against the other.
    simplify : bool
        Whether what other actions might add to a mechanism follows the data. What one adds
        takes its typical scale from them, and where they speak against it keeps a small one,
        fixed in units of the noise, instead of one that is sampled: nearly the same effects in
        a fraction of the time; the tree's ``constant_data`` lists such terms. What two add
        only together joins the model where the data ask for it. Applies where the
        coefficients are integrated out.
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
        Where ``data`` is no RegimeData, or the actions determine the outcome exactly.
    ModelError
        Where the model does not fit the data, or a setting makes no sense.
    SavedFitError
        Where ``checkpoint`` holds another fit.

    Warns
    -----
    SamplingWarning
        Where the draws are not yet fit for use, with what to do about it.

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
    if not isinstance(data, RegimeData | ReadInPasses):
        raise DataError(
            f"data must be a RegimeData, not {type(data).__name__}; RegimeData.from_frame makes one"
        )
    if not isinstance(model, Model):
        raise ModelError(
            f"model must come from bayes_intgen.models, not be {type(model).__name__}; "
            "models.additive(prior=...) makes one"
        )
    posterior = fit_decomposed(
        data,
        model,
        model.decompose(data.sample(PILOT_ROWS)),
        seed=seed,
        chains=chains,
        draws=draws,
        warmup=warmup,
        target_accept=target_accept,
        collapse=collapse,
        simplify=simplify,
        progress=progress,
        checkpoint=checkpoint,
    )
    effect = posterior.effect(_probes(data), _asked(data, model))
    warn_of_problems(posterior.tree, effect)
    return posterior


def fit_decomposed(
    data: Rows,
    model: Model,
    terms: Decomposition,
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
    """As :func:`fit`, for terms that were decomposed already, and without diagnostics."""
    for name, value, least in (
        ("chains", chains, 1),
        ("draws", draws, 4),
        ("warmup", warmup, 10),
        ("seed", seed, 0),
    ):
        if name == "draws" and value is None:
            continue
        if not isinstance(value, Integral) or value < least:
            raise ModelError(f"{name} must be a whole number of at least {least}, not {value!r}")
    if not 0 < target_accept < 1:
        raise ModelError(f"target_accept must lie between 0 and 1, not {target_accept}")
    if collapse is None:
        collapse = model.noise == "gaussian"
    elif collapse and model.noise != "gaussian":
        raise ModelError("coefficients integrate out under Gaussian noise only; leave collapse out")
    if not collapse and data.held is not data:
        raise ModelError(
            "Student-t noise and collapse=False need every row in memory; read the rows with "
            "RegimeData.from_frame, or leave noise and collapse out"
        )
    settings = Settings(
        int(seed),
        int(chains),
        None if draws is None else int(draws),
        int(warmup),
        float(target_accept),
        bool(collapse),
        bool(simplify),
        bool(progress),
    )
    # Before what takes long: it raises where the folder holds another fit.
    kept = (
        None if checkpoint is None else Checkpoint.of(checkpoint, data, model, settings._asdict())
    )
    # Chains share the cores; a BLAS that spreads each small factorisation over all of them
    # too, as it does by default, makes everything wait for everything.
    with jax.enable_x64(True), threadpool_limits(1, "blas"):
        adapts = settings.collapse and settings.simplify
        held = data.sample(PILOT_ROWS)
        candidates = model.candidates(held) if adapts else ()
        pilot = pilot_fit(data, held, model, terms, candidates, settings.progress)
        terms = pilot.posterior.terms
        sample = _sample_collapsed if collapse else _sample_written_out
        sampled = sample(data, model, terms, pilot, settings, kept or None)
    count = sampled.coefficients.shape[1]
    return Posterior(
        assemble(
            data,
            model,
            sampled.terms,
            pilot.spread,
            sampled.sites,
            sampled.coefficients,
            sampled.statistics,
            noise=_noise(pilot, settings, count),
            fixed_scales=sampled.fixed,
            settings=settings._replace(draws=count)._asdict(),
        )
    )


def _noise(pilot: Pilot, settings: Settings, draws: int) -> dict[str, Array]:
    """Quantiles of the noise's shape, and draws of its variance function."""
    if pilot.estimate is None:
        return {"quantile": pilot.shape}
    rng = generator(settings.seed, "noise")
    deviations = pilot.estimate.draw((settings.chains, draws), rng)
    return {"quantile": pilot.shape, "deviation": deviations}


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


def _about(
    mode: Array, covariance: Array, count: int, settings: Settings, purpose: Purpose
) -> Array:
    """Points scattered about the mode as widely as the posterior is expected to be."""
    normal = generator(settings.seed, purpose).standard_normal((count, len(mode)))
    return np.asarray(mode + normal @ np.linalg.cholesky(covariance).T)


def _nuts(
    density: Density,
    mode: Array,
    covariance: Array,
    settings: Settings,
    checkpoint: Checkpoint | None,
    reported: Callable[[Array], Array],
    *,
    walked: Density | None = None,
    least_energy: float = -np.inf,
    label: str = "",
) -> Draws:
    return nuts(
        density,
        _about(mode, covariance, settings.chains, settings, "starts"),
        covariance,
        warmup=settings.warmup,
        draws=settings.draws,
        seed=settings.seed,
        target_accept=settings.target_accept,
        progress=settings.progress,
        reported=reported,
        checkpoint=checkpoint,
        walked=walked,
        least_energy=least_energy,
        label=label,
    )


def _density(target: Target, energy: Energy) -> Density:
    return Density(target.potential, target.arguments, energy)


class _Sampled(NamedTuple):
    """What sampling gives: sites and coefficients, each (chain, draw, ...), and statistics."""

    terms: Decomposition
    sites: dict[str, Array]
    coefficients: Array
    statistics: dict[str, Any]
    fixed: dict[str, float]


def _sample_collapsed(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: Settings,
    checkpoint: Checkpoint | None,
) -> _Sampled:
    """The hyperparameters by NUTS, then the coefficients exactly."""
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

    def of_chain(chain: int) -> Array:
        mine = {name: values[chain] for name, values in sites.items()}
        return posterior.draw(mine, generator(settings.seed, "coefficients", chain))

    with ThreadPoolExecutor() as pool:
        drawn = np.stack(list(pool.map(of_chain, range(settings.chains))))
    rng = generator(settings.seed, "condensed")
    coefficients = condensed.complete(drawn, sites["noise_sd"], rng)
    return _Sampled(terms, sites, coefficients, sampled.statistics, fixed)


def _hyperparameters(
    posterior: Collapsed,
    mode: Array,
    settings: Settings,
    checkpoint: Checkpoint | None,
    restarts: int = 0,
) -> Draws:
    """Draws of the hyperparameters, by chains from about a mode or the higher one they find."""
    covariance = posterior.covariance(mode)
    close = by_groups(posterior, mode, _about(mode, covariance, PROBES, settings, "probes"))
    try:
        return _nuts(
            _density(posterior.target, posterior.energy),
            mode,
            covariance,
            settings,
            checkpoint,
            np.exp,
            walked=None if close is None else _density(close.target, close.energy),
            least_energy=posterior.value(mode) if restarts < MOST_RESTARTS else -np.inf,
            label=f"again{restarts}-" if restarts else "",
        )
    except NotTheModeError as found:
        higher = posterior.mode(found.point, settings.progress)
        return _hyperparameters(posterior, higher, settings, checkpoint, restarts + 1)


def _sample_written_out(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: Settings,
    checkpoint: Checkpoint | None,
) -> _Sampled:
    """The generative program itself, started from the Gaussian pilot."""
    data = data.held
    rows = (
        terms.functions(data.actions),
        terms.gates(data.intervened),
        np.sqrt(pilot.spread(data.actions, data.intervened)),
        data.outcome - terms.centre,
        known_rows(data, terms),
    )

    def program(*rows: Any) -> None:
        model.written_out(terms, *rows)

    pilot_layout = pilot.posterior.layout
    priors = model.hyperpriors(terms)
    centre, spread = pilot.posterior.moments(pilot.sites)
    sd = np.exp(priors.log_sd_at(pilot.sites))
    start = {**pilot_layout.sites(pilot.mode), "weights": (centre - priors.mean) / sd}
    if model.noise == "student_t":
        start["df"] = np.log(20.0)
    layout = Layout(start)
    target = Target(program, rows, layout)

    covariance = np.eye(layout.size)
    order = np.concatenate([layout.positions[name] for name in pilot_layout.positions])
    covariance[np.ix_(order, order)] = pilot.posterior.covariance(pilot.mode)
    weights = layout.positions["weights"]
    covariance[np.ix_(weights, weights)] = spread / np.outer(sd, sd)

    density = _density(target, target.energy)

    is_weight = np.isin(np.arange(layout.size), weights)

    def reported(flat: Array) -> Array:
        return np.where(is_weight, flat, np.exp(np.where(is_weight, 0, flat)))

    sampled = _nuts(density, layout.flat(start), covariance, settings, checkpoint, reported)
    sites = target.constrain(sampled.flat)
    sites.pop("weights")
    coefficients = sites.pop("coefficients")
    return _Sampled(terms, sites, coefficients, sampled.statistics, {})


def _asked(data: Rows, model: Model) -> tuple[str, ...]:
    """The actions that are set in the effect to check: all, or what some rows answer."""
    seen = tuple(data.regimes)
    every = (True,) * len(data.names)
    mask = every if model.identifies(seen, every) else seen[0]
    return tuple(name for name, was_set in zip(data.names, mask, strict=True) if was_set)


def _probes(data: Rows) -> Array:
    """Points at which the joint effect is checked: rows of the data, evenly spaced."""
    actions = data.held.actions
    chosen = np.linspace(0, len(actions) - 1, 20).astype(int)
    return np.asarray(actions[chosen])
