"""Grid of plans, and the best of them under a budget by dynamic programming, for many draws.

Its options are combinations of candidates within each component of interacting actions.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.decide.problem import ROUNDING, Problem, with_rounding

Positions = NDArray[np.int_]


class Grid:
    """Options of each component.

    Parameters
    ----------
    problem : Problem
    components : tuple of tuple of int
        Positions of the actions of each component.
    most : int
        Maximum number of options of a component.

    Attributes
    ----------
    options : list of ndarray, each (n, actions of the component)
    costs : list of ndarray, each (n,)
    """

    def __init__(
        self, problem: Problem, components: tuple[tuple[int, ...], ...], most: int
    ) -> None:
        self.problem, self.components = problem, components
        self.options: list[Array] = []
        self.costs: list[Array] = []
        for component in components:
            size = max(2, int(most ** (1 / len(component)) + 1e-9))
            options = combinations([thinned(problem.candidates[k], size) for k in component])
            self.options.append(options)
            self.costs.append(problem.cost_of_options(options, component))

    def points(self, which: int) -> Array:
        """The baseline with one component at each of its options, shape (n, K)."""
        options = self.options[which]
        out = np.tile(self.problem.baseline, (len(options), 1))
        out[:, list(self.components[which])] = options
        return out

    def plans(self, choices: Positions) -> Array:
        """Plans, shape (S, K), of options by their positions, shape (S, number of components)."""
        out = np.empty((len(choices), len(self.problem.candidates)))
        for component, options, choice in zip(
            self.components, self.options, choices.T, strict=True
        ):
            out[:, list(component)] = options[choice]
        return out


def combinations(values: Sequence[Array]) -> Array:
    """All combinations of values, shape (M, number of sequences).

    Examples
    --------
    >>> combinations([np.array([0.0, 1.0]), np.array([5.0])])
    array([[0., 5.],
           [1., 5.]])
    """
    return np.array(list(product(*values)))


def thinned(values: Array, most: int) -> Array:
    """At most ``most`` of some values, evenly spaced with both ends.

    Examples
    --------
    >>> thinned(np.arange(9.0), 3)
    array([0., 4., 8.])
    """
    positions = np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int)
    return np.asarray(values[np.unique(positions)])


def best_choices(
    values: Sequence[Array], costs: Sequence[Array], budget: float | None, cells: int
) -> Positions:
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


def _with_component(best: Array, values: Array, cells: Positions) -> tuple[Array, Positions]:
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
