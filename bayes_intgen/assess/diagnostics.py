"""Problems with posterior draws, in sentences that name the quantity and the remedy."""

import warnings

import numpy as np
import xarray as xr

from bayes_intgen.errors import PACKAGE, SamplingWarning
from bayes_intgen.inference.sampled_model import (
    MIN_ESS,
    PARETO_K_LIMIT,
    ImportanceDiagnostics,
)
from bayes_intgen.inference.sampling.convergence import (
    ESS_LIMIT,
    RHAT_LIMIT,
    Convergence,
    convergence,
    convergence_quantities,
)


def problems(tree: xr.DataTree, effect: xr.DataArray) -> list[str]:
    """Describe problems with the draws, worst first; empty if there are none.

    Parameters
    ----------
    tree : DataTree
        With groups ``posterior`` and ``sample_stats`` in ArviZ's schema.
    effect : DataArray, dims (chain, draw, point)
        Joint effect at points typical of the data.

    Returns
    -------
    list of str
    """
    statistics = tree["sample_stats"].dataset
    importance = ImportanceDiagnostics.of(statistics.attrs)
    divergences, deep_trees = [], []
    if importance is None:
        total = statistics["diverging"].size
        names = ("diverging", "reached_max_treedepth")
        diverging, deepest = (int(statistics[name].values.sum()) for name in names)
        divergences = [
            f"{diverging} of {total} draws ended in a divergence, so part of the posterior may be "
            "missing: rerun with target_accept=0.95 or more, or use tighter priors"
        ] * bool(diverging)
        deep_trees = [
            f"{deepest} of {total} draws reached the maximum tree depth: sampling is slow but not "
            "wrong; tighter priors help"
        ] * bool(deepest)
    quantities = convergence_quantities(tree, effect)
    nonfinite = [
        f"draws of {name} are not all finite: do not use them; check the data for extreme values"
        for name, values in quantities.data_vars.items()
        if not np.isfinite(values.values).all()
    ]
    if nonfinite:
        return nonfinite + divergences
    if importance is not None:
        return _unreliable_weights(importance)
    of_each = convergence(quantities)
    draws = effect.sizes["draw"]
    # Chains that disagree have few effective draws, too.
    disagreement = _disagreement(of_each, draws) if effect.sizes["chain"] > 1 else []
    few = disagreement or _few_effective_draws(of_each, draws)
    return [*divergences, *few, *deep_trees]


def warn_of_problems(tree: xr.DataTree, effect: xr.DataArray) -> None:
    """Issue a SamplingWarning for each of :func:`problems`."""
    for problem in problems(tree, effect):
        warnings.warn(problem, SamplingWarning, skip_file_prefixes=(PACKAGE,))


def _unreliable_weights(importance: ImportanceDiagnostics) -> list[str]:
    """Problems of a Laplace approximation, to which R-hat and effective draws do not apply."""
    # A comparison with NaN is false.
    if not importance.pareto_k <= PARETO_K_LIMIT:
        reason = (
            f"Pareto k is {importance.pareto_k:.2f}, above {PARETO_K_LIMIT}: the posterior is too "
            "far from its Laplace approximation for importance weights to correct"
        )
    elif not importance.importance_ess >= MIN_ESS:
        reason = (
            f"the importance weights of the Laplace approximation are worth "
            f"{importance.importance_ess:.0f} draws, fewer than {MIN_ESS}: intervals are noisy"
        )
    else:
        return []
    return [f'{reason}; fit with method="nuts"']


def _disagreement(of_each: Convergence, draws: int) -> list[str]:
    above = of_each.rhat > RHAT_LIMIT
    if not above.any():
        return []
    worst = int(np.nanargmax(of_each.rhat))
    return [
        f"R-hat is {of_each.rhat[worst]:.3f} for {of_each.names[worst]} "
        f"(and above {RHAT_LIMIT} for {int(above.sum())} quantities): "
        "the chains disagree; raise warmup, and fit with "
        f"draws={2 * draws} or more"
    ]


def _few_effective_draws(of_each: Convergence, draws: int) -> list[str]:
    below = of_each.ess < ESS_LIMIT
    if not below.any():
        return []
    worst = int(np.nanargmin(of_each.ess))
    smallest = of_each.ess[worst]
    enough = int(np.ceil(ESS_LIMIT / max(smallest, 1) * draws / 100) * 100)
    return [
        f"the effective sample size is {smallest:.0f} for {of_each.names[worst]} "
        f"(and below {ESS_LIMIT} for {int(below.sum())} quantities): "
        f"its bands are noisy; rerun with draws={enough} or so"
    ]
