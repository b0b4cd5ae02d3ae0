"""Search for the best plan: dynamic programming on a grid, then local exchanges.

The posterior mean is a sum over components of interacting actions, so that dynamic programming
finds the global optimum among the candidates of a grid. If the rows do not support that plan, and
for a measure of risk, which is not a sum, a small grid is enumerated; of a large one random plans
are tried. Local searches start from these, and from the best plan for the mean of the worst draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.decide.decision import CVaR, Quantile
from bayes_intgen.decide.problem import ROUNDING, JointSurface, Problem, wider_search, with_rounding
from bayes_intgen.errors import ModelError
from bayes_intgen.posterior.defaults import varied

# Cells of the budget in dynamic programming: for the posterior mean, and for each draw.
CELLS, CELLS_PER_DRAW = 1000, 300
# Maximum number of options of a component of interacting actions: as with cells.
MAX_OPTIONS, MAX_OPTIONS_PER_DRAW = 20_000, 1_000
# Maximum number of plans that are enumerated for a measure of risk.
MAX_PLANS = 20_000
# Draws whose best plans are found at once, and plans whose support is.
DRAWS_AT_ONCE, SUPPORTED_AT_ONCE = 500, 300
# Windows of local search, as shares of an action's range, and values in each.
WINDOWS = (1.0, 0.2, 0.04, 0.008, 0.0016, 0.0003)
N_WINDOW = 21
MAX_SWEEPS = 30
# Smallest improvement that counts, as a share of the range of the effect.
TOLERANCE = 1e-7
# Weightings of the draws from which a search for a measure of risk starts, number of starts that
# are improved, and of random plans.
N_TAILS, N_STARTS, N_RANDOM = 4, 4, 4_000

Positions = NDArray[np.int_]


class Grid:
    """Options of each component of actions, and what an effect gains by them over the baseline.

    Parameters
    ----------
    problem : Problem
    components : tuple of tuple of int
        Positions of the actions of each component.
    most : int
        Maximum number of options of a component.
    effect : callable
        Maps plans, shape (M, K), to their effects under each of S draws, shape (S, M).

    Attributes
    ----------
    options : list of ndarray, each (n, actions of the component)
    costs : list of ndarray, each (n,)
    gains : list of ndarray, each (S, n)
    """

    def __init__(
        self,
        problem: Problem,
        components: tuple[tuple[int, ...], ...],
        most: int,
        effect: Callable[[Array], Array],
    ) -> None:
        self.components, self.count = components, len(problem.candidates)
        self.options: list[Array] = []
        self.costs: list[Array] = []
        self.gains: list[Array] = []
        base = effect(problem.baseline[None])
        for component in components:
            size = max(2, int(most ** (1 / len(component)) + 1e-9))
            options = combinations([thinned(problem.candidates[k], size) for k in component])
            self.options.append(options)
            self.costs.append(problem.cost_of_options(options, component))
            self.gains.append(effect(varied(problem.baseline, [*component], options)) - base)

    def best(self, budget: float | None, cells: int) -> Array:
        """Plans with the largest gains within a budget, shape (S, K); see :func:`best_choices`."""
        parts = []
        for begin in range(0, len(self.gains[0]), DRAWS_AT_ONCE):
            own = [gains[begin : begin + DRAWS_AT_ONCE] for gains in self.gains]
            parts.append(best_choices(own, self.costs, budget, cells))
        choices = np.concatenate(parts)
        out = np.empty((len(choices), self.count))
        for i, component in enumerate(self.components):
            out[:, [*component]] = self.options[i][choices[:, i]]
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


@dataclass(frozen=True, eq=False)
class Search:
    """Search for the plan with the best posterior mean, or the best measure of risk.

    Attributes
    ----------
    problem : Problem
    surface : JointSurface
    measure : CVaR or Quantile, optional
        Measure of risk of draws; the mean by default.
    """

    problem: Problem
    surface: JointSurface
    measure: CVaR | Quantile | None = None

    def within(self, budget: float | None) -> "Search":
        """The same search with another budget."""
        return replace(self, problem=replace(self.problem, budget=budget))

    @cached_property
    def means(self) -> Grid:
        """Options and their means, the same for every budget."""
        return self._grid(MAX_OPTIONS, lambda points: self.surface.mean(points)[None])

    def _grid(self, most: int, effect: Callable[[Array], Array]) -> Grid:
        return Grid(self.problem, self.surface.components, most, effect)

    def value(self, points: Array) -> Array:
        """Objective at plans of shape (M, K), shape (M,)."""
        if self.measure is None:
            return self.surface.mean(points)
        return self.surface.measured(points, self.measure)

    def best(self, means: Grid | None = None) -> Array:
        """Best plan, shape (K,).

        Parameters
        ----------
        means : Grid, optional
            Those of the same decision with another budget.

        Raises
        ------
        ModelError
            If no plan is feasible.
        """
        problem = self.problem
        starts = [(means or self.means).best(problem.budget, CELLS)[0]]
        if self.measure is not None or not problem.is_feasible(starts[0][None])[0]:
            starts += self._enumerated()
        if self.measure is not None:
            for _ in range(N_TAILS):
                # The mean of the draws that are worst at the last plan.
                draws = self.surface.draws(starts[-1][None])[:, 0]
                starts.append(self._best_of_worst(np.argsort(draws)[: max(1, len(draws) // 10)]))
        points = np.unique(np.array([*starts, problem.baseline]), axis=0)
        points = points[problem.is_feasible(points)]
        return self.improved(points if len(points) else _random_plans(problem))

    def improved(self, points: Array) -> Array:
        """Improve feasible plans by local exchanges, and return the best, shape (K,)."""
        values = self.value(points)
        best, best_value = np.asarray(points[0]), -np.inf
        for i in np.argsort(-values)[:N_STARTS]:
            point, own = self._locally_best(np.asarray(points[i]), float(values[i]))
            if own > best_value:
                best, best_value = point, own
        return best

    def best_of_draws(self, plan: Array) -> tuple[Array, Array]:
        """Best plan under each draw, shape (S, K), and its joint effect, shape (S,).

        Plans on the grid that the rows do not support are replaced by the best of the other
        draws' plans and ``plan``.
        """
        problem, surface = self.problem, self.surface
        grid = self._grid(MAX_OPTIONS_PER_DRAW, surface.draws)
        points = grid.best(problem.budget, CELLS_PER_DRAW)
        distinct, which = np.unique(points, axis=0, return_inverse=True)
        feasible = problem.is_feasible(distinct)
        pool = np.concatenate([plan[None], distinct[feasible]])
        effects = surface.draws(pool)
        positions = np.cumsum(feasible)
        choice = np.where(feasible[which], positions[which], effects.argmax(axis=1))
        return pool[choice], effects[np.arange(len(choice)), choice]

    def _best_of_worst(self, which: Positions) -> Array:
        """Best plan on the grid for the mean over some of the draws, shape (K,)."""

        def mean(points: Array) -> Array:
            return self.surface.draws(points)[which].mean(axis=0, keepdims=True)

        return np.asarray(self._grid(MAX_OPTIONS, mean).best(self.problem.budget, CELLS)[0])

    def _enumerated(self) -> list[Array]:
        """Best feasible plans among combinations of candidates; random ones of many actions."""
        problem = self.problem
        sizes = [len(own) for own in problem.candidates]
        least = max(3, int(MAX_PLANS ** (1 / len(sizes))))
        if np.prod([min(size, least) for size in sizes]) > MAX_PLANS:
            return list(_random_plans(problem)[:N_STARTS])
        plans = combinations([thinned(own, least) for own in problem.candidates])
        plans = plans[problem.is_affordable(plans)]
        order, out = np.argsort(-self.value(plans)), []
        # Support takes longer than the objective.
        for begin in range(0, len(order), SUPPORTED_AT_ONCE):
            best = plans[order[begin : begin + SUPPORTED_AT_ONCE]]
            out += list(best[problem.is_feasible(best)])
            if len(out) >= N_STARTS:
                break
        return out[:N_STARTS]

    @cached_property
    def _tolerance(self) -> float:
        """Smallest improvement that counts."""
        candidates, baseline = self.problem.candidates, self.problem.baseline
        changes = [varied(baseline, k, values) for k, values in enumerate(candidates)]
        effects = self.surface.mean(np.concatenate(changes))
        return TOLERANCE * max(1e-12, float(np.ptp(effects)))

    def _locally_best(self, point: Array, current: float) -> tuple[Array, float]:
        """Move one action, or two at the same cost, as long as that improves the plan."""
        problem = self.problem
        for window in WINDOWS:
            for _ in range(MAX_SWEEPS):
                before = current
                for k in range(len(point)):
                    for neighbours in (_changes, _exchanges):
                        moves = neighbours(problem, point, k, window)
                        values = self.value(moves) if len(moves) else np.empty(0)
                        # Support takes longer than the objective.
                        better = np.flatnonzero(values > current + self._tolerance)
                        better = better[problem.is_feasible(moves[better])]
                        if len(better):
                            i = better[values[better].argmax()]
                            point, current = moves[i], float(values[i])
                if current <= before + self._tolerance:
                    break
        return point, current


def _random_plans(problem: Problem) -> Array:
    """Feasible plans among random combinations of candidates.

    Raises
    ------
    ModelError
        If there are none.
    """
    rng = np.random.default_rng(0)
    points = np.stack([rng.choice(own, N_RANDOM) for own in problem.candidates], axis=1)
    points = points[problem.is_feasible(points)]
    if not len(points):
        raise ModelError(
            f"the rows support no plan within the bounds and the budget; {wider_search()}"
        )
    return points


def _changes(problem: Problem, point: Array, k: int, window: float) -> Array:
    """Plans that differ in one action, within a window of its range."""
    own = values = problem.candidates[k]
    if problem.categories[k] is None:
        if window < 1:
            reach = window * (values[-1] - values[0])
            own = np.clip(point[k] + reach * np.linspace(-1, 1, N_WINDOW), values[0], values[-1])
        if problem.budget is not None and problem.rates[k] > 0:
            # All of the budget that is left.
            left = (problem.budget - problem.cost(point[None])[0]) / problem.rates[k]
            own = np.append(own, np.clip(point[k] + left, values[0], values[-1]))
    return varied(point, k, own)


def _exchanges(problem: Problem, point: Array, k: int, window: float) -> Array:
    """Plans of the same cost that move one action and pay from, or into, another."""
    out = [np.empty((0, len(point)))]
    if problem.budget is not None and (problem.rates[k] > 0 or k in problem.prices):
        moved = _changes(problem, point, k, window)
        extra = problem.cost(moved) - problem.cost(point[None])
        for j in np.flatnonzero(problem.rates > 0):
            if j != k and problem.categories[j] is None:
                low, high = problem.candidates[j][[0, -1]]
                own = moved.copy()
                own[:, j] = point[j] - extra / problem.rates[j]
                out.append(own[(own[:, j] >= low) & (own[:, j] <= high)])
    return np.concatenate(out)
