"""Search for the best plan: dynamic programming on a grid, then in windows that shrink.

The posterior mean is a sum over components of interacting actions, so that dynamic programming
finds the global optimum among the candidates of a grid. A measure of risk is not a sum: there the
search starts from the best sums of means less multiples of variances. Plans are supported if rows
elsewhere support the values of all components; where the best plan is not, the search starts from
rows, random plans, and the plans of a small grid.

A start is improved by the changes of the objective when one action changes: the plan with the
largest sum of these within the budget, the best changes of two actions, and of one, are evaluated,
and the best that is feasible is kept, in windows that shrink around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.decide.decision import RiskMeasure
from bayes_intgen.decide.grid import Grid, Positions, best_choices, combinations, thinned
from bayes_intgen.decide.problem import (
    PLANS_AT_ONCE,
    JointSurface,
    Problem,
    wider_search,
    with_rounding,
)
from bayes_intgen.errors import ModelError
from bayes_intgen.posterior.defaults import varied
from bayes_intgen.text.formats import shorter_number

# Cells of the budget in dynamic programming: for the posterior mean, and for each draw.
CELLS, CELLS_PER_DRAW = 1000, 300
# Maximum number of options of a component of interacting actions: as with cells.
MAX_OPTIONS, MAX_OPTIONS_PER_DRAW = 20_000, 1_000
# Maximum number of plans that are enumerated where rows do not support the best one.
MAX_PLANS = 20_000
# Plans whose support is found at once; maximum number of better plans near which rows are looked
# for in a step.
SUPPORTED_AT_ONCE, NEARBY_AT_ONCE = 300, 100
# Windows of local search, as shares of an action's range, and values in each.
WINDOWS = (1.0, 0.2, 0.04, 0.008, 0.0016, 0.0003)
N_WINDOW = 21
# Maximum number of steps in a window, and number of changes of two actions evaluated in each.
MAX_STEPS, N_PAIRS = 30, 50
# Smallest improvement that counts, as a share of the range of the effect.
TOLERANCE = 1e-7
# Maximum number of steps towards a plan for a measure of risk, number of starts that are improved,
# and of random plans.
N_CAUTIOUS, N_STARTS, N_RANDOM = 6, 2, 4_000


class BestOfDraws(NamedTuple):
    """Best plan under each draw.

    Attributes
    ----------
    points : ndarray, shape (S, K)
    worth : ndarray, shape (S,)
        What they are worth under their own draws.
    """

    points: Array
    worth: Array


@dataclass(frozen=True, eq=False)
class Search:
    """Search for the plan with the best posterior mean, or the best measure of risk.

    Attributes
    ----------
    problem : Problem
    surface : JointSurface
    measure : CVaR or Quantile, optional
        Measure of risk of draws; the mean by default.
    of_level : bool
        Whether it is one of the joint effect, and not of its gain over the baseline.
    """

    problem: Problem
    surface: JointSurface
    measure: RiskMeasure | None = None
    of_level: bool = False

    def within(self, budget: float | None) -> "Search":
        """The same search with another budget, which shares the options and their effects."""
        other = replace(self, problem=replace(self.problem, budget=budget))
        shared = {name: getattr(self, name) for name in ("means", "per_draw", "base")}
        vars(other).update(shared)
        return other

    @cached_property
    def means(self) -> Grid:
        """Options and their means, the same for every budget."""
        return Grid(self.problem, self.surface, MAX_OPTIONS, lambda part, x: part.mean(x)[None])

    @cached_property
    def per_draw(self) -> Grid:
        """Options and their draws, the same for every budget."""
        return Grid(self.problem, self.surface, MAX_OPTIONS_PER_DRAW, lambda part, x: part.draws(x))

    @cached_property
    def base(self) -> Array:
        """Draws of the joint effect over which plans gain, shape (S, 1)."""
        draws = self.surface.draws(self.problem.baseline[None])
        return np.zeros_like(draws) if self.of_level else draws

    def gains(self, points: Array) -> Array:
        """Draws of the gains of plans of shape (M, K), shape (S, M)."""
        return np.asarray(self.surface.draws(points) - self.base)

    def value(self, points: Array) -> Array:
        """Objective at plans of shape (M, K), shape (M,)."""
        if self.measure is None:
            return np.asarray(self.surface.mean(points) - self.base.mean())
        parts = (points[i : i + PLANS_AT_ONCE] for i in range(0, len(points), PLANS_AT_ONCE))
        return np.concatenate([self.measured(self.gains(part)) for part in parts])

    def measured(self, draws: Array) -> Array:
        """Objective of draws, shape (S, M), per column, shape (M,)."""
        return draws.mean(axis=0) if self.measure is None else self.measure(draws)

    def best(self) -> Array:
        """Best plan, shape (K,).

        Raises
        ------
        ModelError
            If no plan is feasible.
        """
        problem = self.problem
        free, elsewhere = (self.means.best(problem.budget, CELLS, own) for own in (False, True))
        is_free, is_elsewhere = problem.is_feasible(np.concatenate([free, elsewhere]))
        if is_free and self.measure is None:
            return self.improved(free)
        starts = [*free, *elsewhere, *problem.nearest(problem.baseline[None])]
        if self.measure is not None:
            starts += self._cautious(self.measure.deviations, elsewhere=not is_free)
        if not is_free:
            starts += self._enumerated()
        if not is_elsewhere:
            starts += list(_some_plans(problem))
        points = np.unique(np.array(starts), axis=0)
        points = points[problem.is_feasible(points)]
        if self.measure is None and is_elsewhere:
            # No sum of supported changes is better than this one.
            points = points[self.value(points) >= self.value(elsewhere) - self._tolerance]
        if not len(points):
            limits = "within the bounds"
            if problem.budget is not None:
                limits += f" that costs at most {shorter_number(problem.budget)}"
            raise ModelError(f"the rows support no plan {limits}; {wider_search()}")
        return self.improved(points)

    def improved(self, points: Array) -> Array:
        """Improve feasible plans in windows that shrink, and return the best, shape (K,)."""
        values = self.value(points)
        best, best_value = np.asarray(points[0]), -np.inf
        for i in np.argsort(-values)[:N_STARTS]:
            point, own = self._locally_best(np.asarray(points[i]), float(values[i]))
            if own > best_value:
                best, best_value = point, own
        return best

    def remarks(self, plan: Array) -> tuple[str, ...]:
        """Say where the budget excludes the baseline, and where the best plan is no better."""
        problem, out = self.problem, []
        within = "the bounds and the support"
        if problem.budget is not None:
            cost, budget = problem.cost_of_baseline, shorter_number(problem.budget)
            within = f"the budget of {budget}"
            if cost > with_rounding(problem.budget):
                out.append(f"the baseline costs {shorter_number(cost)}, more than {within}")
        if not self.is_better(plan):
            out.append(f"no plan is expected to be better than the baseline within {within}")
        return tuple(out)

    def is_better(self, plan: Array) -> bool:
        """Whether the objective at a plan exceeds that at the baseline, before a correction."""
        value, usual = self.value(np.stack([plan, self.problem.baseline]))
        return bool(value > usual + self._tolerance)

    def best_of_draws(self, plan: Array) -> BestOfDraws:
        """Best plan under each draw.

        Plans on the grid that the rows do not support are replaced by the best of the other
        draws' plans and ``plan``.
        """
        problem, grid = self.problem, self.per_draw
        # Where the rows support the best plan whatever its values, they mostly do those of draws.
        if problem.is_feasible(self.means.best(problem.budget, CELLS))[0]:
            points = grid.plans(self._choices_of_draws)
        else:
            points = grid.best(problem.budget, CELLS_PER_DRAW, elsewhere=True)
        distinct, which = np.unique(points, axis=0, return_inverse=True)
        feasible = problem.is_feasible(distinct)
        pool = np.concatenate([plan[None], distinct[feasible]])
        worth = self.surface.draws(pool)
        positions = np.cumsum(feasible)
        choice = np.where(feasible[which], positions[which], worth.argmax(axis=1))
        return BestOfDraws(pool[choice], worth[np.arange(len(choice)), choice])

    @cached_property
    def _choices_of_draws(self) -> Positions:
        """Best options of each draw, whether the rows support them or not."""
        return self.per_draw.choices(self.problem.budget, CELLS_PER_DRAW)

    def optimism(self, plan: Array) -> float:
        """Expected excess of the predicted gain of a plan that was chosen as the best."""
        draws = self.surface.draws(np.stack([plan, self.problem.baseline]))
        return self._optimism * float((draws[:, 0] - draws[:, 1]).std())

    @cached_property
    def _optimism(self) -> float:
        """The same in standard deviations of the gain."""
        grid, budget = self.per_draw, self.problem.budget
        return grid.optimism(self._choices_of_draws, budget, CELLS_PER_DRAW)

    def _cautious(self, deviations: float, elsewhere: bool) -> list[Array]:
        """Plans with ever larger means of the gain less some of its standard deviations.

        Notes
        -----
        A minorise-maximise algorithm (Hunter and Lange 2004): with the standard deviation s at the
        last plan, that of any plan is at most (variance / s + s) / 2. The variance is taken for a
        sum over components, whose draws hardly depend on each other.
        """
        grid, budget = self.per_draw, self.problem.budget
        means, variances = ([f(g, axis=0)[None] for g in grid.gains] for f in (np.mean, np.var))
        plans, weight = [], 0.0
        for _ in range(N_CAUTIOUS):
            values = [m - weight * v for m, v in zip(means, variances, strict=True)]
            plans.append(grid.best(budget, CELLS, elsewhere, values)[0])
            sd = float(self.gains(plans[-1][None]).std())
            if sd == 0 or weight == deviations / (2 * sd):
                break
            weight = deviations / (2 * sd)
        return plans

    def _enumerated(self) -> list[Array]:
        """Best feasible plans among combinations of candidates, if these are not too many."""
        problem = self.problem
        sizes = [len(own) for own in problem.candidates]
        least = max(3, int(MAX_PLANS ** (1 / len(sizes))))
        if np.prod([float(min(size, least)) for size in sizes]) > MAX_PLANS:
            return []
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
        """Change actions within windows that shrink, as long as that improves the plan."""
        for window in WINDOWS:
            for _ in range(MAX_STEPS):
                plans, values = self._moves(point, current, window)
                better = np.flatnonzero(values > current + self._tolerance)
                better = better[np.argsort(-values[better])]
                chosen = self._first_feasible(plans[better])
                if chosen is None:
                    break
                point, current = plans[better[chosen]], float(values[better[chosen]])
        return point, current

    def _first_feasible(self, plans: Array) -> int | None:
        """Position of the first plan that rows elsewhere support, else of one near rows."""
        affordable = self.problem.is_affordable(plans)
        elsewhere = affordable & self.problem.is_supported(plans, nearby=False)
        if elsewhere.any():
            return int(elsewhere.argmax())
        # Rows near a plan take longer to find.
        some = np.flatnonzero(affordable)[:NEARBY_AT_ONCE]
        supported = self.problem.is_supported(plans[some])
        return int(some[supported.argmax()]) if supported.any() else None

    def _moves(self, point: Array, current: float, window: float) -> tuple[Array, Array]:
        """Plans within a window around a plan, shape (M, K), and their values, shape (M,).

        They change one action, or two, or are the best by the sum of changes of one action.
        """
        problem = self.problem
        options = [_around(problem, point, k, window) for k in range(len(point))]
        changes = [varied(point, k, own) for k, own in enumerate(options)]
        ends = np.cumsum([len(own) for own in options])[:-1]
        single = np.concatenate(changes)
        gains = self._gains_of_changes(point, current, changes)
        values = current + np.concatenate(gains)
        costs = [problem.cost_of_options(own[:, None], [k]) for k, own in enumerate(options)]
        within = np.split(problem.is_supported(single, nearby=False), ends)
        allowed = [
            np.where(also | (own == point[k]), gain, -np.inf)[None]
            for k, (also, own, gain) in enumerate(zip(within, options, gains, strict=True))
        ]
        (choice,) = best_choices(allowed, costs, problem.budget, CELLS)
        together = np.array([own[i] for own, i in zip(options, choice, strict=True)])[None]
        plans = np.concatenate([together, self._pairs(point, options, gains, costs)])
        return np.concatenate([single, plans]), np.concatenate([values, self.value(plans)])

    def _gains_of_changes(
        self, point: Array, current: float, changes: Sequence[Array]
    ) -> list[Array]:
        """What the objective gains by changes of one action, per action."""
        parts = zip(self.surface.parts, changes, strict=True)
        if self.measure is None:
            return [part.mean(own) - part.mean(point[None]) for part, own in parts]
        now = self.gains(point[None])
        moved = (now + part.draws(own) - part.draws(point[None]) for part, own in parts)
        return [self.measure(draws) - current for draws in moved]

    def _pairs(
        self,
        point: Array,
        options: Sequence[Array],
        gains: Sequence[Array],
        costs: Sequence[Array],
    ) -> Array:
        """Changes of two actions with the largest sums of gains within the budget, (N, K)."""
        some = [thinned(np.arange(float(len(own))), N_WINDOW).astype(int) for own in options]
        own, gain, cost = (
            np.concatenate([values[i] for values, i in zip(columns, some, strict=True)])
            for columns in (options, gains, costs)
        )
        action = np.repeat(np.arange(len(options)), [len(i) for i in some])
        first, second = np.triu_indices(len(own), 1)
        apart = action[first] != action[second]
        first, second = first[apart], second[apart]
        total = gain[first] + gain[second]
        if self.problem.budget is not None:
            own_costs = [
                float(self.problem.cost_of_options(point[None, [k]], [k])[0])
                for k in range(len(point))
            ]
            now = sum(own_costs)
            extra = cost - np.array(own_costs)[action]
            left = with_rounding(self.problem.budget) - now
            total[extra[first] + extra[second] > left] = -np.inf
        most = np.argsort(-total)[:N_PAIRS]
        most = most[total[most] > 0]
        out = np.tile(point, (len(most), 1))
        rows = np.arange(len(most))
        out[rows, action[first[most]]] = own[first[most]]
        out[rows, action[second[most]]] = own[second[most]]
        return out


def _some_plans(problem: Problem) -> Array:
    """Feasible plans near rows, and among random combinations of candidates."""
    rng = np.random.default_rng(0)
    random = np.stack([rng.choice(own, N_RANDOM) for own in problem.candidates], axis=1)
    # Many actions at random values cost too much.
    cheap = rng.random(random.shape) < rng.random((N_RANDOM, 1))
    points = np.concatenate([np.where(cheap, problem.cheapest, random), problem.plans_of_rows()])
    return points[problem.is_feasible(points)]


def _around(problem: Problem, point: Array, k: int, window: float) -> Array:
    """Values of one action within a window of its range, its present one included."""
    own = values = problem.candidates[k]
    if problem.categories[k] is None:
        if window < 1:
            reach = window * (values[-1] - values[0])
            own = np.clip(point[k] + reach * np.linspace(-1, 1, N_WINDOW), values[0], values[-1])
        if problem.budget is not None and problem.rates[k] > 0:
            # All of the budget that is left.
            left = (problem.budget - problem.cost(point[None])[0]) / problem.rates[k]
            own = np.append(own, np.clip(point[k] + left, values[0], values[-1]))
    return np.unique(np.append(own, point[k]))
