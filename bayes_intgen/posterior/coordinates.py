"""Coordinates of labelled draws: chains and draws, and points with the values of the actions."""

from collections.abc import Sequence
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.queries import named_points

# Coordinates of draws that the name of an action does not replace.
RESERVED = ("chain", "draw", "point", "supported")


def draw_coordinates(tree: xr.DataTree) -> dict[str, NDArray[Any]]:
    """Chains and draws of a fit.

    Examples
    --------
    >>> sorted(draw_coordinates(posterior.tree))
    ['chain', 'draw']
    """
    draws = tree["posterior"].dataset
    return {dim: draws[dim].values for dim in ("chain", "draw")}


def action_coordinates(
    points: Array,
    names: Sequence[str],
    categories: Sequence[Categories | None],
    prefix: str = "",
) -> dict[str, tuple[str, NDArray[Any]]]:
    """Values of each action along points, shape (M, K), levels by their names.

    Examples
    --------
    >>> action_coordinates(np.array([[0.5]]), ["red"], [None], "from ")
    {'from red': ('point', array([0.5]))}
    """
    columns = named_points(points, names, categories)
    named = {f"{prefix}{name}": ("point", column) for name, column in columns.items()}
    return {name: column for name, column in named.items() if name not in RESERVED}
