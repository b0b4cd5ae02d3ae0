"""Search for the best plan: dynamic programming on a grid, then in windows that shrink.

The posterior mean is a sum over components of interacting actions, so that dynamic programming
finds the global optimum among the options of a grid. A measure of risk is not a sum: there the
search starts from the best sums of means less multiples of variances. Plans are supported if rows
elsewhere support the values of all components; where the best plan is not, the search also starts
from plans near rows and from random ones.

A start is improved by the changes of the objective when one action changes: the plan with the
largest sum of these within the budget, the best changes of two actions, and of one, are evaluated,
and the best that is feasible is kept, in windows that shrink around it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.decide.decision import CAUTIOUS, MEAN, RiskMeasure
from bayes_intgen.decide.grid import (
    ErrorOfChoice,
    Grid,
    Positions,
    best_choices,
    thinned,
)
from bayes_intgen.decide.problem import (
    JointSurface,
    Problem,
    wider_search,
)
from bayes_intgen.errors import ModelError
from bayes_intgen.posterior.defaults import varied
from bayes_intgen.text.formats import shorter_number
from bayes_intgen.text.messages import first_few, option

# Plans of which draws are evaluated at once.
PLANS_AT_ONCE = 1_000
# Maximum number of options of a component of interacting actions.
MAX_OPTIONS = 1_000
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
# and of plans among which they are looked for where rows do not support the best sum.
N_CAUTIOUS, N_STARTS, N_PLANS = 6, 2, 4_000


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
    """Search for the plan with the best measure of its draws.

    Attributes
    ----------
    problem : Problem
    surface : JointSurface
    measure : CVaR or Quantile
        Measure of the draws of a plan.
    of_level : bool
        Whether it is one of the joint effect, and not of its gain over the baseline.
    """

    problem: Problem
    surface: JointSurface
    measure: RiskMeasure = MEAN
    of_level: bool = False

    def within(self, budget: float | None) -> "Search":
        """The same search with another budget, which shares the options and their effects."""
        other = replace(self, problem=replace(self.problem, budget=budget))
        shared = {name: getattr(self, name) for name in ("grid", "base")}
        vars(other).update(shared)
        return other

    @cached_property
    def grid(self) -> Grid:
        """Options and the draws of their gains, the same for every budget."""
        return Grid(self.problem, self.surface, MAX_OPTIONS)

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
        parts = (points[i : i + PLANS_AT_ONCE] for i in range(0, len(points), PLANS_AT_ONCE))
        return np.concatenate([self.measure(self.gains(part)) for part in parts])

    def best(self) -> Array:
        """Best plan, shape (K,).

        Raises
        ------
        ModelError
            If no plan is feasible.
        """
        problem = self.problem
        starts = [*self._best_sums(), *problem.nearest(problem.baseline[None])]
        if not problem.is_feasible(starts[0][None])[0]:
            starts += [*self._best_sums(elsewhere=True), *self._scattered()]
        points = np.unique(np.array(starts), axis=0)
        points = points[problem.is_feasible(points)]
        if len(points):
            return self.improved(points)
        if problem.budget is None:
            names = self.surface.prediction.terms.names
            several = [len(own) > 1 for own in problem.candidates]
            free = first_few([*map(repr, compress(names, several))])
            graph = option("graph", "{action: causes}", command="--graph ACTION=CAUSE")
            raise ModelError(
                "the rows support no plan within the bounds: the regimes reach no values of "
                f"{free} together; fit with {graph} if it is known, {wider_search()}"
            )
        cheapest = self._cheapest()[None]
        if not problem.is_affordable(cheapest)[0]:
            budget, least = problem.budget, problem.cost(cheapest)[0]
            raise ModelError(
                f"the rows support no plan that costs at most {shorter_number(budget)}, only ones "
                f"from about {shorter_number(least)}; {wider_search()}"
            )
        return self.improved(cheapest)

    def _cheapest(self) -> Array:
        """Cheapest plan, shape (K,), whatever the budget.

        The options of a grid, and rows, may miss it where several actions interact.
        """
        problem = replace(self.problem, budget=None)

        def saved(effects: Array, points: Array) -> Array:
            return np.broadcast_to(-problem.cost(points), effects.shape)

        return Search(problem, replace(self.surface, worth=saved), of_level=True).best()

    def improved(self, points: Array) -> Array:
        """Improve feasible plans in windows that shrink, and return the best, shape (K,)."""
        values = self.value(points)
        best, best_value = np.asarray(points[0]), -np.inf
        for i in np.argsort(-values)[:N_STARTS]:
            point, own = self._locally_best(np.asarray(points[i]), float(values[i]))
            if own > best_value:
                best, best_value = point, own
        return best

    def remarks(self, gain: Array) -> Iterator[str]:
        """Say where the budget excludes the baseline, and where a plan may be no better."""
        problem, less = self.problem, ""
        within = "the bounds and the support"
        if not problem.value:
            less = f"; if less is better, {option('value')} below 0: what one more unit is worth"
        if problem.budget is not None:
            cost, budget = problem.cost(problem.baseline[None])[0], shorter_number(problem.budget)
            within = f"the budget of {budget}"
            if cost > problem.limit:
                less = ""
                yield f"the baseline costs {shorter_number(cost)}, more than {within}"
        if gain.mean() <= 0:
            yield f"no plan is expected to be better than the baseline within {within}{less}"
        elif CAUTIOUS(gain[:, None])[0] <= 0:
            yield "not credibly better than the baseline: the gain's 90% interval contains 0"

    def chosen(self, best: Array) -> tuple[Array, bool]:
        """The best plan, or the baseline, and whether that stays.

        It stays where no gain is expected of the best plan after the correction, and, if the
        objective is of the level, where its own is as high.
        """
        problem, start = self.problem, self.problem.baseline[None]
        # The nearest candidates are the baseline itself unless it is beyond the bounds.
        if not (problem.is_feasible(start)[0] and (problem.nearest(start) == start).all()):
            return best, False
        worth, usual = self.surface.draws(np.stack([best, start[0]])).T
        more = float(self.corrected(worth - usual)[0].mean())
        if self.of_level:
            more = self.corrected_value(best) - self.corrected_value(start[0])
        return (best, False) if more > 0 else (start[0], True)

    def is_better(self, plan: Array) -> bool:
        """Whether the objective at a plan exceeds that at the baseline, before a correction."""
        value, usual = self.value(np.stack([plan, self.problem.baseline]))
        return bool(value > usual + self._tolerance)

    def best_of_draws(self, plan: Array) -> BestOfDraws:
        """Best plan under each draw: ``plan``, one of a grid, or one with the budget spent.

        The grid leaves some of the budget, which may go to one action of any draw's plan. Plans
        that the rows do not support are left out.
        """
        problem, grid = self.problem, self.grid
        # Where the rows support the best plan whatever its values, they mostly do those of draws.
        best = grid.choices(problem.limit, gains=grid.means)
        everywhere = problem.is_feasible(grid.plans(best))[0]
        choices = self._choices_of_draws if everywhere else grid.choices(problem.limit, True)
        plans = problem.with_budget_spent(np.unique(grid.plans(choices), axis=0))
        pool = np.concatenate([plan[None], plans[problem.is_feasible(plans)]])
        worth = self.surface.draws(pool)
        choice = worth.argmax(axis=1)
        return BestOfDraws(pool[choice], worth[np.arange(len(choice)), choice])

    @cached_property
    def _choices_of_draws(self) -> Positions:
        """Best options of each draw, whether the rows support them or not."""
        return self.grid.choices(self.problem.limit)

    def corrected(self, gain: Array) -> tuple[Array, float]:
        """Draws of the gain of a plan that was chosen as the best, corrected, and its optimism."""
        error, mean, sd = self._error_of_choice, float(gain.mean()), float(gain.std())
        optimism = error.optimism * sd
        return mean - optimism + error.spread * (gain - mean), optimism

    def corrected_value(self, plan: Array) -> float:
        """Objective at a plan that was chosen as the best, corrected."""
        worth, usual = self.surface.draws(np.stack([plan, self.problem.baseline])).T
        gain, _ = self.corrected(worth - usual)
        return float(self.measure((usual + gain if self.of_level else gain)[:, None])[0])

    @cached_property
    def _error_of_choice(self) -> ErrorOfChoice:
        return self.grid.error_of_choice(self._choices_of_draws, self.problem.limit)

    def _best_sums(self, elsewhere: bool = False) -> Iterator[Array]:
        """Plans on the grid with the best mean, and less and less variance for a measure of risk.

        With ``elsewhere``, of options that rows elsewhere support.

        Notes
        -----
        A minorise-maximise algorithm (Hunter and Lange 2004): a measure of risk is about the mean
        less some standard deviations, and with the standard deviation s at the last plan, that of
        any plan is at most (variance / s + s) / 2. The variance is taken for a sum over
        components, whose draws hardly depend on each other.
        """
        grid, deviations = self.grid, self.measure.deviations
        variances = [own.var(axis=0, keepdims=True) for own in grid.gains]
        weight = 0.0
        for _ in range(N_CAUTIOUS):
            values = [m - weight * v for m, v in zip(grid.means, variances, strict=True)]
            plans = grid.plans(grid.choices(self.problem.limit, elsewhere, values))
            yield plans[0]
            sd = float(self.gains(plans).std())
            if sd == 0 or weight == deviations / (2 * sd):
                break
            weight = deviations / (2 * sd)

    def _scattered(self) -> list[Array]:
        """Best feasible plans among combinations of candidates, or random ones, and near rows."""
        problem, rng = self.problem, np.random.default_rng(0)
        if (size := int(N_PLANS ** (1 / len(problem.candidates)))) > 2:
            plans = np.array([*product(*(thinned(own, size) for own in problem.candidates))])
        else:
            plans = np.stack([rng.choice(own, N_PLANS) for own in problem.candidates], axis=1)
            # Many actions at random values cost too much.
            cheap = rng.random(plans.shape) < rng.random((N_PLANS, 1))
            plans = np.where(cheap, problem.cheapest, plans)
        plans = np.concatenate([plans, problem.plans_of_rows()])
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
        return TOLERANCE * max(float(np.ptp(own)) for own in self.grid.means)

    def _locally_best(self, point: Array, current: float) -> tuple[Array, float]:
        """Change actions within windows that shrink, as long as that improves the plan."""
        for window in WINDOWS:
            for _ in range(MAX_STEPS):
                plans, values, elsewhere = self._moves(point, current, window)
                is_better = (values > current + self._tolerance) & self.problem.is_affordable(plans)
                better = np.flatnonzero(is_better)
                better = better[np.argsort(-values[better])]
                chosen = self._first_supported(plans[better], elsewhere[better])
                if chosen is None:
                    break
                point, current = plans[better[chosen]], float(values[better[chosen]])
        return point, current

    def _first_supported(self, plans: Array, elsewhere: NDArray[np.bool_]) -> int | None:
        """Position of the first plan that rows elsewhere support, else of one near rows."""
        if elsewhere.any():
            return int(elsewhere.argmax())
        # Rows near a plan take longer to find.
        supported = self.problem.is_supported(plans[:NEARBY_AT_ONCE])
        return int(supported.argmax()) if supported.any() else None

    def _moves(
        self, point: Array, current: float, window: float
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Plans within a window around a plan, shape (M, K), and their values, shape (M,).

        They change one action, or two, or are the best by the sum of changes of one action. And
        whether rows elsewhere support them, shape (M,), if they may be better.
        """
        problem = self.problem
        options = [_around(problem, point, k, window) for k in range(len(point))]
        changes = [varied(point, k, own) for k, own in enumerate(options)]
        now, gains = self.gains(point[None]), []
        for part, own, changed, value in zip(
            self.surface.parts, options, changes, point, strict=True
        ):
            draws = part.draws(changed)
            gains.append(self.measure(now + draws - draws[:, own == value]) - current)
        costs = [problem.cost_of_options(own[:, None], [k]) for k, own in enumerate(options)]
        pairs = self._pairs(point, options, gains, costs)
        plans = np.concatenate([*changes, pairs])
        elsewhere = problem.is_supported(plans, nearby=False)
        within = np.split(elsewhere, np.cumsum([len(own) for own in options]))[:-1]
        allowed = [
            np.where(also | (own == point[k]), gain, -np.inf)[None]
            for k, (also, own, gain) in enumerate(zip(within, options, gains, strict=True))
        ]
        (choice,) = best_choices(allowed, costs, problem.limit)
        together = np.array([own[i] for own, i in zip(options, choice, strict=True)])[None]
        others = self.value(np.concatenate([pairs, together]))
        also = others[-1] > current and problem.is_supported(together, nearby=False)[0]
        values = np.concatenate([current + np.concatenate(gains), others])
        return np.concatenate([plans, together]), values, np.append(elsewhere, also)

    def _pairs(
        self,
        point: Array,
        options: Sequence[Array],
        gains: Sequence[Array],
        costs: Sequence[Array],
    ) -> Array:
        """Changes of two actions with the largest sums of gains within the budget, (N, K)."""
        columns = zip(options, costs, point, strict=True)
        extra = np.concatenate([cost - cost[own == value] for own, cost, value in columns])
        action = np.repeat(np.arange(len(options)), [len(own) for own in options])
        own, gain = np.concatenate(options), np.concatenate(gains)
        total = np.where(action[:, None] < action, gain[:, None] + gain, -np.inf)
        left = self.problem.limit - self.problem.cost(point[None])[0]
        total[extra[:, None] + extra > left] = -np.inf
        best = np.flatnonzero(total > 0)
        best = best[np.argsort(-total.ravel()[best])[:N_PAIRS]]
        out = np.tile(point, (len(best), 1))
        for change in np.unravel_index(best, total.shape):
            out[np.arange(len(out)), action[change]] = own[change]
        return out


def _around(problem: Problem, point: Array, k: int, window: float) -> Array:
    """Values of one action within a window of its range, its present one included."""
    own = problem.candidates[k]
    if problem.categories[k] is None:
        low, high = own[[0, -1]]
        own = point[k] + window * (high - low) * np.linspace(-1, 1, N_WINDOW)
        if problem.budget is not None and problem.rates[k] > 0:
            # All of the budget that is left.
            left = problem.budget - problem.cost(point[None])[0]
            own = np.append(own, point[k] + left / problem.rates[k])
        own = np.clip(own, low, high)
    return np.unique(np.append(own, point[k]))
