"""Options of actions on a grid, and the best choice of them within a budget."""

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.decide.problem import JointSurface, Problem
from bayes_intgen.posterior.defaults import varied

# Draws whose best plans are found at once.
DRAWS_AT_ONCE = 500
# Equal cells of the budget above the cheapest options, in dynamic programming. Costs are rounded up
# to whole cells, so that a choice never costs more than the budget.
CELLS = 300

Positions = NDArray[np.int_]


class ErrorOfChoice(NamedTuple):
    """Error of the gain of a plan that was chosen as the best, in standard deviations of its draws.

    Attributes
    ----------
    optimism : float
        Its mean.
    spread : float
        Its standard deviation after a correction for the optimism; at least 1.
    """

    optimism: float
    spread: float


class Grid:
    """Options of each component of actions, and what an effect gains by them over the baseline.

    Parameters
    ----------
    problem : Problem
    surface : JointSurface
        Components too large for a grid count as one per action.
    most : int
        Maximum number of options of a component.

    Attributes
    ----------
    components : list of tuple of int
        Positions of the actions of each component.
    options : list of ndarray, each (n, actions of the component)
    costs : list of ndarray, each (n,)
    gains : list of ndarray, each (S, n)
    """

    def __init__(self, problem: Problem, surface: JointSurface, most: int) -> None:
        self.problem = problem
        self.components: list[tuple[int, ...]] = []
        for component in surface.components:
            small = 2 ** len(component) <= most
            self.components += [component] if small else [(k,) for k in component]
        self.options: list[Array] = []
        self.costs: list[Array] = []
        self.gains: list[Array] = []
        for component in self.components:
            size = int(most ** (1 / len(component)) + 1e-9)
            values = (thinned(problem.candidates[k], size) for k in component)
            options = np.array([*product(*values)])
            part = surface.parts[component[0]]
            plans = varied(problem.baseline, [*component], options)
            self.options.append(options)
            self.costs.append(problem.cost_of_options(options, component))
            self.gains.append(part.draws(plans) - part.draws(problem.baseline[None]))

    @cached_property
    def means(self) -> list[Array]:
        """Posterior means of the gains, each (1, n)."""
        return [own.mean(axis=0, keepdims=True) for own in self.gains]

    @cached_property
    def elsewhere(self) -> list[NDArray[np.bool_]]:
        """Options that rows elsewhere support, so that all may be combined.

        All options of components without any.
        """
        start, out = self.problem.supported_elsewhere, []
        for component, options in zip(self.components, self.options, strict=True):
            points = varied(start, [*component], options)
            supported = self.problem.is_supported(points, nearby=False)
            out.append(supported if supported.any() else ~supported)
        return out

    def choices(
        self, limit: float, elsewhere: bool = False, gains: Sequence[Array] | None = None
    ) -> Positions:
        """Options with the largest gains within a limit, (S, components); see `best_choices`.

        With ``elsewhere``, of those that rows elsewhere support. Other gains may be given.
        """
        values = self.gains if gains is None else gains
        if elsewhere:
            allowed = zip(self.elsewhere, values, strict=True)
            values = [np.where(use, own, -np.inf) for use, own in allowed]
        starts = range(0, len(values[0]), DRAWS_AT_ONCE)
        parts = ([own[i : i + DRAWS_AT_ONCE] for own in values] for i in starts)
        return np.concatenate([best_choices(own, self.costs, limit) for own in parts])

    def plans(self, choices: Positions) -> Array:
        """Plans of chosen options, shape (M, K)."""
        out = np.empty((len(choices), len(self.problem.candidates)))
        for i, component in enumerate(self.components):
            out[:, [*component]] = self.options[i][choices[:, i]]
        return out

    def gains_of(self, choices: Positions) -> Array:
        """Gains of chosen options, shape (S, M)."""
        columns = zip(self.gains, choices.T, strict=True)
        return np.asarray(sum(own[:, column] for own, column in columns))

    def nearest(self, limit: float) -> Positions:
        """The affordable plan that is nearest to the baseline, shape (1, components)."""
        start, parts = self.problem.baseline, zip(self.components, self.options, strict=True)
        plans = (varied(start, [*component], options) for component, options in parts)
        closeness = [-np.square(self.problem.changes(own)).sum(axis=1)[None] for own in plans]
        return self.choices(limit, gains=closeness)

    def error_of_choice(self, of_draws: Positions, limit: float) -> ErrorOfChoice:
        """Error of the gain of the best plan.

        Parameters
        ----------
        of_draws : ndarray of int, shape (S, components)
            The best options of each draw.
        limit : float
            Largest sum of costs.

        Notes
        -----
        The maximum of an estimated surface overrates itself: the optimizer's curse (Smith and
        Winkler 2006). In a parametric bootstrap (Efron and Tibshirani 1993) the truth is a multiple
        of the posterior mean, and the deviations of draws are errors of estimates. The optimism is
        the mean error at the plans that are best by these estimates.

        The posterior mean itself would be too large a truth, since its errors add to its best gain.
        Errors add e^2 to the square of that: the mean gains m where draws gain sqrt(m^2 + e^2), so
        that the truth gains about sqrt(m^2 - e^2). These are gains over a plan that was not chosen,
        the affordable one nearest to the baseline.

        An estimate that is large by luck is corrected less: by about e^2 / m, as in the estimator
        of James and Stein (1961). So are those of the bootstrap, and what is left of their errors
        where plans move, above m = e, is the spread.

        Plans count whether rows support them or not: few of the best plans of draws are supported
        with many actions, though others as good may be.
        """
        unchosen, best = (
            float(self.gains_of(own).mean())
            for own in (self.nearest(limit), self.choices(limit, gains=self.means))
        )
        rows = np.arange(len(of_draws))
        columns = zip(self.gains, of_draws.T, strict=True)
        found = sum(float(own[rows, column].mean()) for own, column in columns)
        signal = (best - unchosen) ** 2
        noise = max(0.0, (found - unchosen) ** 2 - signal)
        scale = np.sqrt(1 - noise / signal) if noise < signal else 0.0
        both = zip(self.gains, self.means, strict=True)
        estimates = [own - (1 - scale) * mean for own, mean in both]
        choices = self.choices(limit, gains=estimates)
        distinct, which = np.unique(choices, axis=0, return_inverse=True)
        gains = self.gains_of(distinct)
        means, sd = gains.mean(axis=0), gains.std(axis=0)[which]
        errors = (gains - means)[rows, which]
        optimism = np.divide(errors, sd, out=np.zeros_like(sd), where=sd > 0).mean()
        estimated = errors + scale * (means[which] - unchosen)
        moves = (estimated > np.sqrt(noise)) & (sd > 0)
        left = (errors[moves] - noise / estimated[moves]) / sd[moves]
        return ErrorOfChoice(float(optimism), max(1.0, float(left.std())) if moves.any() else 1.0)


def thinned(values: Array, most: int) -> Array:
    """At most ``most`` of some values, evenly spaced with both ends.

    Examples
    --------
    >>> thinned(np.arange(9.0), 3)
    array([0., 4., 8.])
    """
    positions = np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int)
    return np.asarray(values[np.unique(positions)])


def best_choices(values: Sequence[Array], costs: Sequence[Array], limit: float) -> Positions:
    """Choose one option of each component with the largest sum of values within a limit of costs.

    Parameters
    ----------
    values : sequence of ndarray, each (S, n)
        Values of the n options of a component under S draws.
    costs : sequence of ndarray, each (n,)
        The cheapest options together cost at most the limit.
    limit : float

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
    >>> best_choices([values, values], [costs, costs], 2.0)
    array([[1, 1]])
    """
    if limit == np.inf:
        return np.stack([own.argmax(axis=1) for own in values], axis=1)
    floors = [own.min() for own in costs]
    free = max(limit - sum(floors), np.finfo(float).tiny)
    above = (np.minimum(own - low, 2 * free) for own, low in zip(costs, floors, strict=True))
    in_cells = [np.ceil(CELLS * own / free).astype(int) for own in above]
    every = np.arange(len(values[0]))
    # Best sums of the components so far, (cells + 1, S), within each cell.
    best = [np.zeros((CELLS + 1, len(every)))]
    for own, cell in zip(values, in_cells, strict=True):
        new, top = np.full(best[-1].shape, -np.inf), np.full(len(every), -np.inf)
        for at in np.unique(cell[cell <= CELLS]):
            most = own[:, cell == at].max(axis=1)
            # Under all other draws a cheaper option is as good.
            if (most > top).any():
                np.maximum(top, most, out=top)
                np.maximum(new[at:], best[-1][: CELLS + 1 - at] + most, out=new[at:])
        best.append(new)
    left, out = np.full(len(every), CELLS), []
    for own, cell, before in zip(values[::-1], in_cells[::-1], best[-2::-1], strict=True):
        rest = left[:, None] - cell
        sums = own + np.where(rest >= 0, before[np.maximum(rest, 0), every[:, None]], -np.inf)
        out.append(sums.argmax(axis=1))
        left = np.maximum(left - cell[out[-1]], 0)
    return np.stack(out[::-1], axis=1)
