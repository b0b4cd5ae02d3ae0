"""Calibration of the posterior: simulation-based calibration, and coverage in simulated worlds."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_intgen._random import Seed, generator, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.api.fitting import fit, fit_decomposed
from bayes_intgen.api.posterior import Posterior
from bayes_intgen.data.queries import checked_points
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.errors import ModelError
from bayes_intgen.inference.settings import ImportanceDiagnostics, SamplerSettings
from bayes_intgen.models import Model, additive
from bayes_intgen.posterior.draws import prediction_of
from bayes_intgen.posterior.prior import simulated_rows
from bayes_intgen.simulators import StructuralCausalModel

LEVELS = (0.5, 0.8, 0.9, 0.95)


def ranks(
    data: RegimeData,
    model: Model | None = None,
    *,
    simulations: Iterable[int] = range(200),
    points: Any = None,
    fitted: Model | None = None,
    **settings: Any,
) -> xr.DataTree:
    """Ranks of simulation-based calibration (Talts et al. 2018, arXiv 1804.06788).

    Each simulation draws hyperparameters, coefficients and outcomes from the prior predictive,
    at the actions and masks of the data, and fits the outcomes. If sampling is correct, the
    share of posterior draws below the true value is uniform for every quantity. This is exact
    for ``spread="constant"``, under which outcomes are simulated, and ``simplify=False``; the
    default fit estimates the variance function and typical scales from the same rows.

    Parameters
    ----------
    data : RegimeData
        Supplies actions, masks, and the mean and standard deviation of the outcome, to which
        the priors are relative.
    model : Model, optional
        By default ``additive()``.
    simulations : iterable of int
        Seeds; parts of a study may run separately and be concatenated along ``draw``.
    points : points as in :meth:`bayes_intgen.Posterior.joint_effect`, optional
        Where the joint effect is asked; by default three rows of the data.
    fitted : Model, optional
        Another model for fitting the simulations, as a negative control.
    **settings
        Passed to :func:`bayes_intgen.fit`.

    Returns
    -------
    DataTree
        Group ``prior_sbc``, as expected by ``az.plot_ecdf_pit``: shares with dims (chain, draw,
        ...), one draw per simulation, of the intercept, the noise's standard deviation, the
        joint effect and the hyperparameters common to all fits.

    Raises
    ------
    ModelError
        For noise that is not Gaussian, and for multiplicative models.

    Examples
    --------
    >>> model = bi.models.additive("linear")
    >>> at = [{"green": 0.5, "red": 0.1}, {"green": -0.5, "red": 0.1}]
    >>> tree = ranks(data, model, simulations=range(2), points=at, method="laplace", draws=20)
    >>> tree["prior_sbc"]["joint_effect"].sizes["draw"]
    2
    """
    model = additive() if model is None else model
    fitted = model if fitted is None else fitted
    if model.noise != "gaussian":
        raise ModelError("ranks are for Gaussian noise: leave noise out of the model")
    if {model.link, fitted.link} != {"identity"}:
        raise ModelError("ranks are for outcomes that are sums: use bayes_intgen.models.additive()")
    if points is None:
        points = data.actions[:: max(len(data) // 3, 1)][:3]
    else:
        points = checked_points(points, data.names, data.categories)
    terms, fitted_terms = model.decompose(data), fitted.decompose(data)
    mask = np.ones(points.shape, dtype=bool)

    def simulation(seed: int) -> xr.Dataset:
        """Shares of posterior draws below the true values in one simulation."""
        truth, coefficients, outcome = simulated_rows(model, terms, data, (), seed)
        posterior = fit_decomposed(
            replace(data, outcome=outcome, weights=None, within=None, lift_tests=()),
            fitted,
            SamplerSettings(seed=seed, **{"progress": False, **settings}),
            fitted_terms,
        ).posterior
        true_effect = coefficients @ terms.matrix(points, mask).T + terms.centre
        effect = prediction_of(posterior).mean(points, mask)
        draws = posterior.tree["posterior"].to_dataset()
        draws["joint_effect"] = ("chain", "draw", "point"), effect
        shares = xr.Dataset(
            {
                "joint_effect": _share(draws["joint_effect"], true_effect),
                "intercept": _share(draws["intercept"], coefficients[0] + terms.centre),
                "noise_sd": _share(draws["noise_sd"], truth["noise_sd"]),
            },
            coords={"point": np.arange(len(points)), "draw": seed},
        )
        for name, names in (("scale", terms.scales), ("lengthscale", terms.lengthscales)):
            if name in draws and name in truth:
                values = xr.DataArray(truth[name], coords={f"{name}_of": list(names)})
                # A fit may lack pruned terms or, with another model, have additional ones.
                shares[name] = _share(*xr.align(draws[name], values, join="inner"))
        return shares

    # The inner join drops terms that some fits have pruned.
    together = xr.concat(
        map(simulation, simulations), "draw", join="inner", data_vars="all", coords="minimal"
    )
    return xr.DataTree.from_dict({"prior_sbc": together.expand_dims(chain=[0])})


def _share(draws: xr.DataArray, truth: Any) -> xr.DataArray:
    """Normalised rank of the truth among draws, dims (chain, draw, ...), within (0, 1).

    Among S draws and the truth itself each rank has an interval of 1 / (S + 1); this is its
    midpoint.
    """
    below, count = draws < truth, draws.sizes["chain"] * draws.sizes["draw"]
    share: xr.DataArray = (below.sum(("chain", "draw")) + 0.5) / (count + 1)
    return share


@takes_rng
def coverage(
    world: StructuralCausalModel,
    *,
    rows: int,
    seed: Seed,
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
        Per regime: the observational one and each single intervention.
    seed : int
        Seed of the rows, the fit and the joint points.
    model : Model, optional
        By default ``additive()``.
    points : int
        Number of joint interventions, sampled from the world.
    levels : sequence of float
        Probabilities of the central intervals.
    **settings
        Passed to :func:`bayes_intgen.fit`.

    Returns
    -------
    Dataset, dims (of, level) or (of,)
        ``coverage``, the share of points whose interval contains the true joint effect
        (``of="effect"``), its change from all actions at their lowest setting in the data
        (``of="change"``), or an outcome (``of="outcome"``); ``width``, the mean width of the
        intervals relative to the outcome's standard deviation under joint interventions;
        ``z_rms``, without levels, the root mean square of (posterior mean - truth) /
        (posterior standard deviation), which is one for calibrated errors. Scalars ``error``,
        the root mean square error of the posterior mean of the joint effect, and
        ``divergences``, or ``pareto_k`` of a fit with ``method="laplace"``.

    Examples
    --------
    >>> world = bi.simulators.Linear.random(2, seed=0)
    >>> table = coverage(world, rows=50, seed=0, method="laplace", draws=20)
    >>> table["coverage"].dims
    ('of', 'level')
    """
    data = world.dataset(rows, seed=seed)
    posterior = fit(data, model, seed=seed, **{"progress": False, **settings})
    actions, outcome = world.sample(world.names, points, generator(seed, "points"))
    truth = world.joint_effect(actions)
    mask = np.ones(actions.shape, dtype=bool)
    effect = prediction_of(posterior).mean(actions, mask)
    # Lower observed values do not count, because no experiment covers them.
    lowest = np.where(data.intervened, data.actions, np.inf).min(axis=0, keepdims=True)
    change = effect - prediction_of(posterior).mean(lowest, mask[:1])
    # With few levels a point may equal the lowest settings, so that its change is exactly zero.
    is_changed = (actions != lowest).any(axis=1)
    true_change = truth - world.joint_effect(lowest)
    single = prediction_of(posterior).draw(actions, mask, generator(seed, "outcome"))
    scores = {
        "effect": _scores(effect, truth, levels),
        "change": _scores(change[..., is_changed], true_change[is_changed], levels),
        "outcome": _scores(single, outcome, levels),
    }
    shares, widths, z_rms = zip(*scores.values(), strict=True)
    dims = ("of", "level")
    return xr.Dataset(
        {
            "coverage": (dims, np.array(shares)),
            "width": (dims, np.array(widths) / outcome.std()),
            "z_rms": ("of", np.array(z_rms)),
            "error": np.sqrt(np.mean((effect.mean(axis=(0, 1)) - truth) ** 2)),
            **_reliability(posterior),
        },
        coords={"of": list(scores), "level": list(levels)},
    )


def _reliability(posterior: Posterior) -> dict[str, float]:
    """Number of divergences of NUTS, or Pareto k of a Laplace approximation."""
    statistics = posterior.tree["sample_stats"]
    importance = ImportanceDiagnostics.of(statistics.attrs)
    if importance is not None:
        return {"pareto_k": importance.pareto_k}
    return {"divergences": int(statistics["diverging"].sum())}


def _scores(draws: Array, target: Array, levels: Sequence[float]) -> tuple[Array, Array, float]:
    """Coverage and mean width at each level, and root mean square z, over points."""
    tails = ((1 + sign * np.asarray(levels)) / 2 for sign in (-1, 1))
    low, high = (np.quantile(draws, tail, axis=(0, 1)) for tail in tails)
    z = (draws.mean(axis=(0, 1)) - target) / draws.std(axis=(0, 1))
    inside = (low < target) & (target < high)
    return inside.mean(axis=1), (high - low).mean(axis=1), float(np.sqrt(np.mean(z**2)))


def coverage_table(worlds: Sequence[xr.Dataset]) -> xr.Dataset:
    """Mean coverage and width over worlds, with standard errors.

    Errors within one world are correlated: the standard error is that of a mean over worlds,
    not over points.

    Parameters
    ----------
    worlds : sequence of Dataset
        At least two results of :func:`coverage`.

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
    scores = xr.concat([world[["coverage", "width", "z_rms"]] for world in worlds], "world")
    return xr.Dataset(
        {
            "coverage": scores["coverage"].mean("world"),
            "coverage_error": scores["coverage"].std("world", ddof=1) / np.sqrt(len(worlds)),
            "width": scores["width"].mean("world"),
            "z_rms": np.sqrt((scores["z_rms"] ** 2).mean("world")),
        }
    )
