"""What is wrong with a set of draws, in words that name the quantity and the remedy."""

import warnings

import numpy as np
import xarray as xr

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
    from arviz_stats import ess, rhat

    found = []
    statistics = tree["sample_stats"].dataset
    total = int(statistics["diverging"].size)
    diverging = int(statistics["diverging"].sum())
    if diverging:
        found.append(
            f"{diverging} of {total} draws ended in a divergence, so part of the posterior may be "
            "missing: rerun with target_accept=0.95 or more; if it stays, give tighter priors"
        )
    # Values of the actions along the points are coordinates that could share a name.
    bare = effect.drop_vars([name for name in effect.coords if name not in effect.dims])
    quantities = tree["posterior"].dataset.assign(joint_effect=bare)
    broken = [
        f"draws of {name} are not all finite: do not use them; check the data for extreme values"
        for name, values in quantities.data_vars.items()
        if not np.isfinite(values).all()
    ]
    if broken:
        return broken + found
    names, scale_reduction = _flatten(rhat(quantities))
    _, bulk = _flatten(ess(quantities, method="bulk"))
    _, tail = _flatten(ess(quantities, method="tail"))
    smallest = np.minimum(bulk, tail)
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
