"""What is wrong with a set of draws, in words that name the quantity and the remedy."""

import warnings
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpyro.diagnostics import effective_sample_size, gelman_rubin
from scipy.special import ndtri

from bayes_intgen.bases import Array
from bayes_intgen.errors import PACKAGE, SamplingWarning

RHAT_LIMIT = 1.01
ESS_LIMIT = 400
# Shares of the draws that the tails begin at: ArviZ's.
TAILS = (0.11, 0.89)


def problems(tree: xr.DataTree, effect: xr.DataArray) -> list[str]:
    """Reasons to distrust the draws, worst first; empty where there is none.

    Parameters
    ----------
    tree : DataTree
        With groups ``posterior`` and ``sample_stats`` in ArviZ's schema.
    effect : DataArray, dims (chain, draw, point)
        The joint effect at points typical of the data.

    Returns
    -------
    list of str
    """
    found = []
    statistics = tree["sample_stats"].dataset
    total = int(statistics["diverging"].size)
    diverging = int(statistics["diverging"].sum())
    if diverging:
        found.append(
            f"{diverging} of {total} draws ended in a divergence, so part of the posterior may be "
            "missing: rerun with target_accept=0.95 or more; if it stays, give tighter priors"
        )
    quantities = _quantities(tree, effect)
    broken = [
        f"draws of {name} are not all finite: do not use them; check the data for extreme values"
        for name, values in quantities.data_vars.items()
        if not np.isfinite(values).all()
    ]
    if broken:
        return broken + found
    names, scale_reduction, smallest = convergence(tree, effect)
    if effect.sizes["chain"] > 1 and (scale_reduction > RHAT_LIMIT).any():
        worst = int(np.nanargmax(scale_reduction))
        found.append(
            f"R-hat is {scale_reduction[worst]:.3f} for {names[worst]} "
            f"(and above {RHAT_LIMIT} for {int((scale_reduction > RHAT_LIMIT).sum())} quantities): "
            "the chains disagree; raise warmup and draws"
        )
    if (smallest < ESS_LIMIT).any():
        worst = int(np.nanargmin(smallest))
        factor = int(
            np.ceil(ESS_LIMIT / max(smallest[worst], 1) * effect.sizes["draw"] / 100) * 100
        )
        found.append(
            f"the effective sample size is {smallest[worst]:.0f} for {names[worst]} "
            f"(and below {ESS_LIMIT} for {int((smallest < ESS_LIMIT).sum())} quantities): "
            f"its bands are noisy; rerun with draws={factor} or so"
        )
    deepest = int(statistics["reached_max_treedepth"].sum())
    if deepest:
        found.append(
            f"{deepest} of {total} draws reached the maximum tree depth: sampling is slow but not "
            "wrong; tighter priors help"
        )
    return found


class Convergence(NamedTuple):
    """R-hat and the smaller of bulk and tail effective sample size of every quantity."""

    names: list[str]
    rhat: Array
    ess: Array


def convergence(tree: xr.DataTree, effect: xr.DataArray) -> Convergence:
    """How well chains agree, and how many independent draws they are worth; as :func:`problems`."""
    quantities = _quantities(tree, effect).transpose("chain", "draw", ...)
    names = [name for each in quantities.data_vars.values() for name in _names(each)]
    flat = [each.to_numpy().reshape(*each.shape[:2], -1) for each in quantities.data_vars.values()]
    draws = np.concatenate(flat, axis=2)
    return Convergence(names, rhat(draws), effective_draws(draws))


def shortage(draws: Array) -> float:
    """How many times as many draws it takes until there are enough and the chains agree.

    Going by these draws: one or less where there is no more to wait for, infinite where they
    cannot tell.

    Parameters
    ----------
    draws : ndarray, shape (chain, draw, quantity)
    """
    if not np.isfinite(draws).all():
        return np.inf
    short = ESS_LIMIT / float(effective_draws(draws).min())
    if len(draws) > 1:
        # What R-hat exceeds one by falls as the number of draws grows.
        short = max(short, (float(rhat(draws).max()) - 1) / (RHAT_LIMIT - 1))
    return short if np.isfinite(short) else np.inf


def effective_draws(draws: Array) -> Array:
    """Smaller of the effective sample sizes in the bulk and in the tails, shape (quantity,).

    As ArviZ's, which takes a second to import (Vehtari et al., "Rank-normalization, folding, and
    localization", Bayesian Analysis 2021).

    Parameters
    ----------
    draws : ndarray, shape (chain, draw, quantity)
    """
    halves = _halves(draws)
    below = [halves <= np.quantile(draws, share, axis=(0, 1)) for share in TAILS]
    scored = [_normal_scores(halves), *(tail.astype(float) for tail in below)]
    found = np.min([_effective(values) for values in scored], axis=0)
    return np.where(np.isfinite(draws).all(axis=(0, 1)), found, np.nan)


def rhat(draws: Array) -> Array:
    """R-hat of the ranks, or of those of distances from the median, shape (quantity,).

    As ArviZ's: the larger of both, of halves of chains; not a number for one chain.

    Parameters
    ----------
    draws : ndarray, shape (chain, draw, quantity)
    """
    if len(draws) == 1:
        return np.full(draws.shape[2], np.nan)
    halves = _halves(draws)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    bulk, tails = (gelman_rubin(_normal_scores(values)) for values in (halves, folded))
    return np.asarray(np.maximum(bulk, tails))


def _effective(values: Array) -> Array:
    """Effective sample size of the mean of values (chain, draw, quantity)."""
    count = values[..., 0].size
    with np.errstate(invalid="ignore", divide="ignore"):
        found = effective_sample_size(values)
    # Draws that alternate are worth more than as many independent ones; how much more is noise.
    most = count * np.log10(count)
    found = np.where(found <= 0, most, np.minimum(found, most))
    return np.where(np.ptp(values, axis=(0, 1)) > 0, found, count)


def _halves(draws: Array) -> Array:
    """Halves of chains as chains of their own."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normal_scores(draws: Array) -> Array:
    """Standard normal quantiles at the ranks of every quantity's draws; ties share theirs."""
    flat = draws.reshape(-1, draws.shape[2])
    ranks = np.empty(flat.shape)
    for column, values in enumerate(flat.T):
        _, where, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks[:, column] = (np.cumsum(count) - (count - 1) / 2)[where]
    return np.asarray(ndtri((ranks - 3 / 8) / (len(flat) + 1 / 4)).reshape(draws.shape))


def _quantities(tree: xr.DataTree, effect: xr.DataArray) -> xr.Dataset:
    # Values of the actions along the points are coordinates that could share a name.
    bare = effect.drop_vars([name for name in effect.coords if name not in effect.dims])
    return tree["posterior"].dataset.assign(joint_effect=bare)


def warn_of_problems(tree: xr.DataTree, effect: xr.DataArray) -> None:
    """Issue a SamplingWarning for each of :func:`problems`."""
    for problem in problems(tree, effect):
        warnings.warn(problem, SamplingWarning, skip_file_prefixes=(PACKAGE,))


def _names(draws: xr.DataArray) -> list[str]:
    """Names such as ``scale[phi(red)]`` of all that a variable (chain, draw, ...) holds."""
    rest = draws.dims[2:]
    if not rest:
        return [str(draws.name)]
    labels = draws.isel(chain=0, draw=0).stack(where=rest)["where"].to_numpy()
    return [f"{draws.name}[{', '.join(map(str, label))}]" for label in labels]
