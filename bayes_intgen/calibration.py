"""Do the bands mean what they say? Ranks of simulated truths, and coverage of known ones."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from numpyro.infer import Predictive

from bayes_intgen.bases import Array
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.errors import ModelError
from bayes_intgen.inference import fit, fit_decomposed
from bayes_intgen.models import Model, additive
from bayes_intgen.regimes import RegimeData
from bayes_intgen.settings import SamplerSettings
from bayes_intgen.simulators import StructuralCausalModel
from bayes_intgen.streams import generator

LEVELS = (0.5, 0.8, 0.9, 0.95)


def ranks(
    data: RegimeData,
    model: Model | None = None,
    *,
    simulations: Iterable[int] = range(200),
    points: ArrayLike | None = None,
    fitted: Model | None = None,
    **settings: Any,
) -> xr.DataTree:
    """Simulation-based calibration of a model (Talts et al. 2018, arXiv 1804.06788).

    Each simulation draws hyperparameters and coefficients from the prior and outcomes from
    them, at the actions and masks of the data, and fits them. Where sampling is right, the
    share of posterior draws below the true value is uniform for every quantity. That is exact
    for ``spread="constant"``, which is how outcomes are drawn, and ``simplify=False``; by
    default the variance function and typical scales come from the same rows.

    Parameters
    ----------
    data : RegimeData
        Its actions and masks are used, and its outcome's mean and standard deviation, which
        the priors are relative to.
    model : Model, optional
        By default ``additive()``.
    simulations : iterable of int
        A seed each; parts of a study may run elsewhere and be concatenated along ``draw``.
    points : array_like, shape (M, K), optional
        Where the joint effect is ranked; at three rows of the data where left out.
    fitted : Model, optional
        Another model to fit the simulations with: a negative control.
    **settings
        Of :func:`bayes_intgen.fit`.

    Returns
    -------
    DataTree
        Group ``prior_sbc``, which ``az.plot_ecdf_pit`` draws: the shares, dims (chain, draw,
        ...) with a draw a simulation, of the intercept, the noise's standard deviation, the
        joint effect and those hyperparameters that every fit has sampled.

    Raises
    ------
    ModelError
        Where the noise is not Gaussian.

    Examples
    --------
    >>> model = bi.models.additive("linear")
    >>> tree = ranks(data, model, simulations=range(2), draws=20, warmup=20, chains=2)
    >>> tree["prior_sbc"]["joint_effect"].sizes["draw"]
    2
    """
    model = additive() if model is None else model
    fitted = model if fitted is None else fitted
    if model.noise != "gaussian":
        raise ModelError("ranks are for Gaussian noise: leave noise out of the model")
    terms = model.decompose(data)
    refitted = fitted.decompose(data)
    where = data.actions[:: max(len(data) // 3, 1)][:3] if points is None else np.asarray(points)
    found = [
        _ranks_of(data, model, terms, fitted, refitted, where, seed, settings)
        for seed in simulations
    ]
    # Terms that a fit has simplified away have no draws.
    together = xr.concat(found, "draw", join="inner", data_vars="all", coords="minimal")
    return xr.DataTree.from_dict({"prior_sbc": together.expand_dims(chain=[0])})


def _ranks_of(
    data: RegimeData,
    model: Model,
    terms: Decomposition,
    fitted: Model,
    refitted: Decomposition,
    points: Array,
    seed: int,
    settings: dict[str, Any],
) -> xr.Dataset:
    """Shares of posterior draws below the truth in one simulation."""
    with jax.enable_x64(True):
        drawn = Predictive(model.written_out, num_samples=1)(
            jax.random.fold_in(jax.random.key(seed), 2**32 - 2),
            terms,
            jnp.asarray(terms.functions(data.actions)),
            jnp.asarray(terms.gates(data.intervened)),
            jnp.ones(len(data)),
        )
        truth = {name: np.asarray(value)[0] for name, value in drawn.items()}
    simulated = RegimeData(
        data.names,
        data.outcome_name,
        data.actions,
        truth["outcome"] + terms.centre,
        data.intervened,
        categories=data.categories,
    )
    sampler = SamplerSettings(seed=seed, **{"progress": False, **settings})
    posterior = fit_decomposed(simulated, fitted, sampler, refitted)
    draws = posterior.tree["posterior"].to_dataset()
    mask = np.ones(points.shape, dtype=bool)
    design = terms.matrix(points, mask)
    effect = posterior.prediction.mean(points, mask)
    out = xr.Dataset(
        {
            "joint_effect": (
                "point",
                _share_below(effect < truth["coefficients"] @ design.T + terms.centre),
            ),
            "intercept": _share(draws["intercept"], truth["coefficients"][0] + terms.centre),
            "noise_sd": _share(draws["noise_sd"], truth["noise_sd"]),
        },
        coords={"point": np.arange(len(points)), "draw": seed},
    )
    labels = {"scale": terms.scaled, "lengthscale": tuple(terms.lengthscales)}
    for name, every in labels.items():
        if name in draws and name in truth:
            values = xr.DataArray(truth[name], coords={f"{name}_of": list(every)})
            # A fit may lack terms, simplified away, or with another model have more.
            out[name] = _share(*xr.align(draws[name], values, join="inner"))
    return out


def _share(draws: xr.DataArray, truth: Any) -> xr.DataArray:
    below = (draws < truth).transpose("chain", "draw", ...)
    share: xr.DataArray = below[0, 0].copy(data=_share_below(below.to_numpy()))
    return share.drop_vars(["chain", "draw"])


def _share_below(below: NDArray[np.bool_]) -> Array:
    """Share of the draws, shape (chain, draw, ...), that lie below: never none or all.

    Among S draws and the truth itself each rank takes an interval of 1 / (S + 1); this is
    its middle.
    """
    count = below.shape[0] * below.shape[1]
    return np.asarray((below.sum(axis=(0, 1)) + 0.5) / (count + 1))


def coverage(
    world: StructuralCausalModel,
    *,
    rows: int,
    seed: int,
    model: Model | None = None,
    points: int = 1000,
    levels: Sequence[float] = LEVELS,
    **settings: Any,
) -> xr.Dataset:
    """Coverage of credible intervals in one simulated world.

    Parameters
    ----------
    world : StructuralCausalModel
    rows : int
        In each regime: nothing set, and each action set alone.
    seed : int
        Of the rows, the fit and the joint points.
    model : Model, optional
        By default ``additive()``.
    points : int
        Joint interventions, drawn as the world's own.
    levels : sequence of float
        Probabilities of the central intervals.
    **settings
        Of :func:`bayes_intgen.fit`.

    Returns
    -------
    Dataset, dims (of, level) or (of,)
        ``coverage``: the share of points at which the interval contains the true joint
        effect (``of="effect"``), its change from all actions at the lowest value to which
        the data set them (``of="change"``), or an outcome (``of="outcome"``); ``width``: the
        mean width of the intervals, relative to the outcome's standard deviation under joint
        interventions; ``z_rms``, without levels: the root mean square of (posterior mean -
        truth) / (posterior standard deviation), one where errors are as large as the
        posterior says. Scalars ``error``, the root mean square error of the posterior mean
        of the joint effect, and ``divergences``.

    Examples
    --------
    >>> world = bi.simulators.Linear.random(2, seed=0)
    >>> table = coverage(world, rows=50, seed=0, draws=20, warmup=20, chains=2)
    >>> table["coverage"].dims
    ('of', 'level')
    """
    data = world.dataset(rows, seed=seed)
    posterior = fit(data, model, seed=seed, **{"progress": False, **settings})
    actions, outcome = world.sample(world.names, points, generator(seed, "points"))
    truth = world.joint_effect(actions)
    mask = np.ones(actions.shape, dtype=bool)
    effect = posterior.prediction.mean(actions, mask)
    predicted = posterior.prediction.draw(actions, mask, generator(seed, "outcome"))
    lowest = _lowest_set(data)
    change = effect - posterior.prediction.mean(lowest, mask[:1])
    # With few levels, points may be the lowest themselves: no change, and no error.
    moved = (actions != lowest).any(axis=1)
    targets = {
        "effect": (effect, truth),
        "change": (change[..., moved], (truth - world.joint_effect(lowest))[moved]),
        "outcome": (predicted, outcome),
    }
    scores = [_scores(draws, target, levels) for draws, target in targets.values()]
    shares, widths, z_rms = zip(*scores, strict=True)
    dims = ("of", "level")
    return xr.Dataset(
        {
            "coverage": (dims, np.array(shares)),
            "width": (dims, np.array(widths) / outcome.std()),
            "z_rms": ("of", np.array(z_rms)),
            "error": np.sqrt(np.mean((effect.mean(axis=(0, 1)) - truth) ** 2)),
            "divergences": int(posterior.tree["sample_stats"]["diverging"].sum()),
        },
        coords={"of": list(targets), "level": list(levels)},
    )


def _lowest_set(data: RegimeData) -> Array:
    """The lowest value to which each action was set, shape (1, K).

    Lower ones may have been observed, but there no experiment tells what the action does.
    """
    return np.asarray(np.where(data.intervened, data.actions, np.inf).min(axis=0, keepdims=True))


def _scores(draws: Array, target: Array, levels: Sequence[float]) -> tuple[Array, Array, float]:
    """Coverage and mean width at each level, and root mean square z, over points."""
    tails = np.array([[(1 - level) / 2, (1 + level) / 2] for level in levels])
    ends = np.quantile(draws, tails.ravel(), axis=(0, 1)).reshape(*tails.shape, -1)
    low, high = ends[:, 0], ends[:, 1]
    z = (draws.mean(axis=(0, 1)) - target) / draws.std(axis=(0, 1))
    inside = (low < target) & (target < high)
    return inside.mean(axis=1), (high - low).mean(axis=1), float(np.sqrt(np.mean(z**2)))


def coverage_table(worlds: Sequence[xr.Dataset]) -> xr.Dataset:
    """Mean coverage and width over worlds, with standard errors.

    The error of one world moves all of its points together: the standard error is that of a
    mean over worlds, not over points.

    Parameters
    ----------
    worlds : sequence of Dataset
        Of :func:`coverage`, two or more.

    Returns
    -------
    Dataset, dims (of, level) or (of,)
        ``coverage``, its standard error ``coverage_error``, ``width``, and the root mean
        square ``z_rms``.

    Raises
    ------
    ModelError
        For fewer than two worlds.

    Examples
    --------
    >>> one = xr.Dataset(
    ...     {"coverage": ("level", [0.8]), "width": ("level", [1.0]), "z_rms": 1.0},
    ...     {"level": [0.9]},
    ... )
    >>> coverage_table([one, one + 0.1])["coverage_error"].round(3).item()
    0.05
    """
    if len(worlds) < 2:
        raise ModelError("a table of coverage needs at least two worlds for its standard error")
    every = xr.concat([world[["coverage", "width", "z_rms"]] for world in worlds], "world")
    return xr.Dataset(
        {
            "coverage": every["coverage"].mean("world"),
            "coverage_error": every["coverage"].std("world", ddof=1) / np.sqrt(len(worlds)),
            "width": every["width"].mean("world"),
            "z_rms": np.sqrt((every["z_rms"] ** 2).mean("world")),
        }
    )
