"""Rows of history and of an experiment on each action, quick fits, and summaries of draws."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import bayes_intgen as bi

Array = np.ndarray


def one_at_a_time(actions: int, rows: int | Sequence[int]) -> Array:
    """Masks of rows in which no action was set, then of rows in which each was."""
    return np.eye(actions + 1, actions, -1, dtype=bool).repeat(rows, axis=0)


def sampled(
    functions: Sequence[Callable[[Array, Array, Array], Array]],
    rows: int | Sequence[int],
    seed: int = 0,
    *,
    outcome: Callable[[Array, Array], Array] = lambda a, c: a.sum(axis=1) + c.sum(axis=1),
    noise: float = 0.3,
    settings: Sequence[Callable[[Array, np.random.Generator], Array]] | float = 1.5,
    names: Sequence[str] | None = None,
) -> bi.RegimeData:
    """Rows in which no action or one is set, and each has a hidden cause of its own.

    Function k maps actions, cause and noise to a_k, unless it was set: normal with a standard
    deviation, or drawn by a function. The outcome is a function of actions and causes, and noise.
    """
    rng, masks = np.random.default_rng(seed), one_at_a_time(len(functions), rows)
    causes, own = rng.normal(size=(2, *masks.shape))
    actions = np.zeros(masks.shape)
    for k, function in enumerate(functions):
        values = function(actions, causes[:, k], own[:, k])
        is_number = isinstance(settings, float)
        setting = settings * rng.normal(size=len(masks)) if is_number else settings[k](masks, rng)
        actions[:, k] = np.where(masks[:, k], setting, values)
    outcomes = outcome(actions, causes) + noise * rng.normal(size=len(masks))
    return bi.RegimeData.from_arrays(actions, outcomes, masks, names)


def frame_of(data: bi.RegimeData) -> pd.DataFrame:
    """Actions, outcome and regime of rows, as columns."""
    regime = ["+".join(np.array(data.names)[mask]) for mask in data.intervened]
    columns = pd.DataFrame(data.actions, columns=[*data.names])
    return columns.assign(**{data.outcome_name: data.outcome}, regime=regime)


def fitted(data: bi.Rows, model: Any = None, **settings: Any) -> bi.Posterior:
    """Fit by a Laplace approximation, unless told otherwise."""
    return bi.fit(data, model, **{"method": "laplace", "progress": False} | settings)


def moments(draws: xr.DataArray) -> tuple[Array, Array]:
    """Mean and standard deviation over draws, at each point."""
    assert draws.dims[:2] == ("chain", "draw")
    assert np.isfinite(draws.to_numpy()).all()
    return draws.mean(("chain", "draw")).to_numpy(), draws.std(("chain", "draw")).to_numpy()


def covered(draws: xr.DataArray, truth: Array) -> Array:
    """Whether 90% intervals contain the truth, at each point."""
    low, high = draws.quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
    return (low <= truth) & (truth <= high)
