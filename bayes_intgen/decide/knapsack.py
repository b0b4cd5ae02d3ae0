"""Multiple-choice knapsack by dynamic programming, for many draws at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array

Choices = NDArray[np.int_]
# Relative tolerance of costs against the budget.
ROUNDING = 1e-9


def best_choices(
    values: Sequence[Array], costs: Sequence[Array], budget: float | None, cells: int
) -> Choices:
    """Choose one option of each component with the largest sum of values within a budget.

    Parameters
    ----------
    values : sequence of ndarray, each (S, n)
        Values of the n options of a component under S draws.
    costs : sequence of ndarray, each (n,)
        The cheapest options together cost at most the budget.
    budget : float or None
    cells : int
        Number of equal cells of the budget above that of the cheapest options. Costs are rounded up
        to whole cells, so that a choice never costs more than the budget.

    Returns
    -------
    ndarray of int, shape (S, number of components)

    Notes
    -----
    Global over the options, whatever their values: components need not be concave. See Kellerer,
    Pferschy and Pisinger, "Knapsack Problems", chapter 11.

    Examples
    --------
    >>> values, costs = np.array([[0.0, 3.0, 4.0]]), np.array([0.0, 1.0, 2.0])
    >>> best_choices([values, values], [costs, costs], 2.0, 2)
    array([[1, 1]])
    """
    if budget is None:
        return np.stack([own.argmax(axis=1) for own in values], axis=1)
    floors = [own.min() for own in costs]
    free = budget - sum(floors)
    if free <= with_rounding(budget) - budget:
        cheapest = [
            np.where(c <= low, v, -np.inf) for v, c, low in zip(values, costs, floors, strict=True)
        ]
        return np.stack([own.argmax(axis=1) for own in cheapest], axis=1)
    in_cells = [
        np.ceil((own - low) / free * cells - cells * ROUNDING).astype(int)
        for own, low in zip(costs, floors, strict=True)
    ]
    every = np.arange(len(values[0]))
    best = np.zeros((len(every), cells + 1))
    choices = []
    for own, cell in zip(values, in_cells, strict=True):
        best, choice = _with_component(best, own, cell)
        choices.append(choice)
    left, out = np.full(len(every), cells), []
    for choice, cell in zip(reversed(choices), reversed(in_cells), strict=True):
        out.append(choice[every, left])
        left = left - cell[out[-1]]
    return np.stack(out[::-1], axis=1)


def with_rounding(budget: float) -> float:
    """Largest sum of costs that counts as within a budget.

    Examples
    --------
    >>> 0.1 + 0.2 <= 0.3, 0.1 + 0.2 <= with_rounding(0.3)
    (False, True)
    """
    return budget + ROUNDING * max(1.0, abs(budget))


def _with_component(best: Array, values: Array, cells: Choices) -> tuple[Array, Choices]:
    """Best sums with one more component, (S, cells + 1), and its option at each cell."""
    draws, size = best.shape
    new, choice = np.full(best.shape, -np.inf), np.zeros(best.shape, dtype=int)
    for cell in np.unique(cells[cells < size]):
        own = np.flatnonzero(cells == cell)
        option = own[values[:, own].argmax(axis=1)]
        sums = best[:, : size - cell] + values[np.arange(draws), option][:, None]
        better = sums > new[:, cell:]
        new[:, cell:] = np.where(better, sums, new[:, cell:])
        choice[:, cell:] = np.where(better, option[:, None], choice[:, cell:])
    return new, choice
