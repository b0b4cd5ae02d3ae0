"""What is wrong with a set of draws, in words that name the quantity and the remedy."""

import warnings
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayes_intgen.bases import Array
from bayes_intgen.errors import PACKAGE, SamplingWarning

RHAT_LIMIT = 1.01
ESS_LIMIT = 400


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
    from arviz_stats import ess, rhat

    quantities = _quantities(tree, effect)
    names, scale_reduction = _flatten(rhat(quantities))
    _, bulk = _flatten(ess(quantities, method="bulk"))
    _, tail = _flatten(ess(quantities, method="tail"))
    return Convergence(names, scale_reduction, np.minimum(bulk, tail))


def shortage(draws: Array) -> float:
    """How many times as many draws it takes until there are enough and the chains agree.

    Going by these draws: one or less where there is no more to wait for, infinite where they
    cannot tell.

    Parameters
    ----------
    draws : ndarray, shape (chain, draw, quantity)
    """
    from arviz_stats import ess, rhat

    quantities = xr.Dataset({"draws": (("chain", "draw", "quantity"), draws)})
    effective = [ess(quantities, method=method)["draws"] for method in ("bulk", "tail")]
    short = ESS_LIMIT / float(np.min(effective))
    if len(draws) > 1:
        # What R-hat exceeds one by falls as the number of draws grows.
        excess = float(np.max(rhat(quantities)["draws"].to_numpy())) - 1
        short = max(short, excess / (RHAT_LIMIT - 1))
    return short if np.isfinite(short) else np.inf


def _quantities(tree: xr.DataTree, effect: xr.DataArray) -> xr.Dataset:
    # Values of the actions along the points are coordinates that could share a name.
    bare = effect.drop_vars([name for name in effect.coords if name not in effect.dims])
    return tree["posterior"].dataset.assign(joint_effect=bare)


def warn_of_problems(tree: xr.DataTree, effect: xr.DataArray) -> None:
    """Issue a SamplingWarning for each of :func:`problems`."""
    for problem in problems(tree, effect):
        warnings.warn(problem, SamplingWarning, skip_file_prefixes=(PACKAGE,))


def _flatten(values: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """Names such as ``scale[phi(red)]`` and the numbers that go with them."""
    names, numbers = [], []
    for name, variable in values.data_vars.items():
        if not variable.dims:
            names.append(str(name))
            numbers.append(float(variable))
            continue
        stacked = variable.stack(where=variable.dims)
        for label, number in zip(stacked["where"].to_numpy(), stacked.to_numpy(), strict=True):
            names.append(f"{name}[{', '.join(map(str, label))}]")
            numbers.append(float(number))
    return names, np.array(numbers)
