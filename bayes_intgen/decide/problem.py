"""A decision about the actions of one fit, and the joint effect that it improves, as arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.queries import checked_value
from bayes_intgen.decide.decision import Decision
from bayes_intgen.errors import ModelError
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Term
from bayes_intgen.posterior.defaults import default_point, levels_of, varied
from bayes_intgen.posterior.draws import PosteriorDraws, support_of
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import option, quoted, refuse_unknown_actions

# Number of values of a continuous action among the candidates.
N_VALUES = 101
# Relative tolerance of costs against the budget.
ROUNDING = 1e-9
# Maximum number of rows near which plans are looked for.
MAX_ROWS = 2_000
# Plans of which draws are evaluated at once.
PLANS_AT_ONCE = 1_000


@dataclass(frozen=True, eq=False)
class Problem:
    """Plans to choose from, their costs, and the baseline.

    Attributes
    ----------
    categories : tuple of Categories or None, length K
        Levels of actions that take a few values only.
    candidates : tuple of ndarray, length K
        Values of each action, ascending; levels by their codes. Those without support are left
        out.
    rates : ndarray, shape (K,)
        Cost per unit; zero for actions whose levels have prices.
    prices : mapping from position to ndarray
        Costs of the levels of an action whose levels have prices; NaN for those without one.
    budget : float or None
    baseline : ndarray, shape (K,)
    posterior : PosteriorDraws or None
        Fit whose rows must support a plan; None if plans beyond the support are allowed.
    value : float or None
        Worth of a unit of the effect, in the currency of the costs.

    Raises
    ------
    ModelError
        If the budget does not pay for the cheapest plan.
    """

    categories: tuple[Categories | None, ...]
    candidates: tuple[Array, ...]
    rates: Array
    prices: Mapping[int, Array]
    budget: float | None
    baseline: Array
    posterior: PosteriorDraws | None
    value: float | None = None

    def __post_init__(self) -> None:
        least = self.least_cost
        if self.budget is not None and least > with_rounding(self.budget):
            raise ModelError(
                f"the budget of {format_number(self.budget)} pays for no plan: the cheapest one "
                f"costs {format_number(least)}; raise the budget, or widen the bounds"
            )

    @classmethod
    def of(cls, posterior: PosteriorDraws, decision: Decision, beyond_support: bool) -> Self:
        """Match a decision with a fit.

        Raises
        ------
        ModelError
            On unknown actions and levels, where no value of an action is supported, and where the
            budget does not pay for the cheapest plan.
        """
        names, categories = posterior.actions, levels_of(posterior)
        for role in ("cost", "bounds", "baseline"):
            refuse_unknown_actions(getattr(decision, role), names, ModelError, f"{role}: ")
        baseline = default_point(posterior)
        for name, value in decision.baseline.items():
            k = names.index(name)
            baseline[k] = checked_value(value, name, posterior.categories[k])
        candidates = tuple(
            _candidates(posterior, decision, k, categories[k], baseline, beyond_support)
            for k in range(len(names))
        )
        rates, prices = np.zeros(len(names)), {}
        for name, cost in decision.cost.items():
            k = names.index(name)
            levels = posterior.categories[k]
            if isinstance(cost, Mapping):
                needed = candidates[k]
                if decision.value is not None:
                    # The profit of a plan is compared with that of the baseline.
                    needed = np.union1d(needed, baseline[[k]])
                prices[k] = _prices(cost, name, categories[k], needed)
            elif levels is None or levels.numeric:
                rates[k] = cost
            else:
                raise ModelError(
                    f"{name!r} has named levels; "
                    + option(
                        f"give the cost of each, cost={{{name!r}: {{{levels.labels[0]!r}: ...}}}}",
                        command="leave it out of --cost, which is per unit",
                    )
                )
        limits = None if beyond_support else posterior
        problem = cls(
            categories, candidates, rates, prices, decision.budget, baseline, limits, decision.value
        )
        if all(len(values) == 1 for values in candidates):
            raise ModelError(
                "the bounds and the support leave one plan only; widen the bounds of an action"
            )
        return problem

    def cost_of_options(self, values: Array, actions: Sequence[int]) -> Array:
        """Cost of values, shape (M, number of actions), of some actions, shape (M,).

        An action whose levels have prices is at one of them.
        """
        total = values @ self.rates[list(actions)]
        for k, column in zip(actions, values.T, strict=True):
            levels = self.categories[k]
            if k in self.prices and levels is not None:
                total = total + self.prices[k][np.searchsorted(levels.codes, column)]
        return np.asarray(total)

    def cost(self, points: Array) -> Array:
        """Cost of plans, shape (M, K), as an array of shape (M,)."""
        return self.cost_of_options(points, range(len(self.candidates)))

    def worth(self, effects: Array, points: Array) -> Array:
        """Worth of plans, shape (M, K), with effects, shape (..., M): effect, or profit."""
        return effects if self.value is None else self.value * effects - self.cost(points)

    @property
    def cost_of_baseline(self) -> float:
        """Cost of the baseline; NaN if it has a level outside the bounds, without a price."""
        priced = all(self.baseline[k] in self.candidates[k] for k in self.prices)
        return float(self.cost(self.baseline[None])[0]) if priced else np.nan

    @property
    def has_costs(self) -> bool:
        """Whether any plan costs anything."""
        return bool(self.rates.any()) or bool(self.prices)

    @property
    def cheapest(self) -> Array:
        """Cheapest plan, shape (K,)."""
        costs = (self.cost_of_options(own[:, None], [k]) for k, own in enumerate(self.candidates))
        return np.array([own[i.argmin()] for own, i in zip(self.candidates, costs, strict=True)])

    @property
    def least_cost(self) -> float:
        """Cost of the cheapest plan."""
        return float(self.cost(self.cheapest[None])[0])

    def nearest(self, points: Array) -> Array:
        """Plans of the candidates nearest to points, shape (M, K)."""
        columns = zip(points.T, self.candidates, strict=True)
        return np.stack(
            [own[np.abs(column[:, None] - own).argmin(axis=1)] for column, own in columns], axis=1
        )

    def plans_of_rows(self) -> Array:
        """Plans near the rows that support plans, or some of many, shape (M, K)."""
        if self.posterior is None:
            return np.empty((0, len(self.candidates)))
        rows = np.concatenate(support_of(self.posterior).reference.rows)
        return self.nearest(rows[:: 1 + len(rows) // MAX_ROWS])

    @cached_property
    def supported_elsewhere(self) -> Array:
        """A plan that rows elsewhere support, near the baseline; the baseline if there is none."""
        plans = np.concatenate([self.baseline[None], self.plans_of_rows()])
        spans = np.array([np.ptp(own) for own in self.candidates])
        gaps = np.abs(plans - self.baseline) / np.where(spans > 0, spans, 1.0)
        found = np.flatnonzero(self.is_supported(plans, nearby=False))
        return np.asarray(plans[found[gaps[found].sum(axis=1).argmin()] if len(found) else 0])

    def is_affordable(self, points: Array) -> NDArray[np.bool_]:
        """Whether the budget pays for plans, shape (M,)."""
        if self.budget is None:
            return np.ones(len(points), dtype=bool)
        return np.asarray(self.cost(points) <= with_rounding(self.budget))

    def is_feasible(self, points: Array) -> NDArray[np.bool_]:
        """Whether the budget pays for plans and the rows support them, shape (M,)."""
        out = self.is_affordable(points)
        out[out] = self.is_supported(points[out])
        return out

    def is_supported(self, points: Array, nearby: bool = True) -> NDArray[np.bool_]:
        """Whether the rows support plans, shape (M,); without ``nearby``, rows elsewhere."""
        if self.posterior is None or not len(points):
            return np.ones(len(points), dtype=bool)
        return support_of(self.posterior).supported(points, nearby)


def _candidates(
    posterior: PosteriorDraws,
    decision: Decision,
    k: int,
    levels: Categories | None,
    baseline: Array,
    beyond_support: bool,
) -> Array:
    """Values of one action within its bounds and, unless they may lie beyond it, the support."""
    name, coordinate = posterior.actions[k], posterior.terms.coordinates[k]
    bounds, named_levels = decision.bounds.get(name), posterior.categories[k]
    if bounds is None:
        ends = [coordinate.low, coordinate.high]
    else:
        # One value holds the action there.
        bounds = (bounds, bounds) if isinstance(bounds, str | int | float) else bounds
        if named_levels is None and len(bounds) != 2:
            raise ModelError(
                f"bounds of {name!r} must be two values, low and high, not {quoted(bounds)}"
            )
        ends = [checked_value(bound, name, named_levels) for bound in bounds]
    is_range = named_levels is None or (named_levels.ordered and len(ends) == 2)
    if levels is None:
        extra = [v for v in (0.0, baseline[k]) if ends[0] <= v <= ends[1]]
        values = np.append(np.linspace(ends[0], ends[1], N_VALUES), extra)
    elif bounds is None or is_range:
        codes = np.array(levels.codes)
        values = codes[(codes >= min(ends)) & (codes <= max(ends))]
    else:
        values = np.array(ends)
    values = np.unique(values)
    if not beyond_support:
        # Support of one action does not depend on the others' values, but for their link.
        points = varied(baseline, k, values)
        every = np.ones(points.shape[1], dtype=bool)
        verdict = support_of(posterior).verdict(points, every, nearby=False)
        values = values[(verdict.close & verdict.separated)[:, k]]
    if not len(values):
        raise ModelError(
            f"no value of {name!r} within its bounds is supported by the rows; {wider_search()}"
        )
    return values


def wider_search() -> str:
    """Remedies where the rows support no plan."""
    beyond = option("beyond_support", "True", command="--beyond-support of the command")
    return f"widen the bounds, or allow plans beyond the support: {beyond}"


def _prices(
    cost: Mapping[Any, float], name: str, levels: Categories | None, needed: Array
) -> Array:
    """Costs of all levels; raises ModelError if needed ones have none, or others have one."""
    if levels is None:
        raise ModelError(f"{name!r} has no levels; give its cost per unit as a number")
    missing = [label for label in levels.decode(needed).tolist() if label not in cost]
    unknown = [label for label in cost if label not in levels.labels]
    if missing or unknown:
        problem = f"no cost of {quoted(missing)}" if missing else f"unknown level {quoted(unknown)}"
        raise ModelError(f"cost of {name!r}: {problem}; its levels are {levels.spelled()}")
    return costs_of(cost, levels, np.array(levels.codes))


def costs_of(cost: float | Mapping[Any, float], levels: Categories | None, values: Array) -> Array:
    """Costs of values of an action, per unit or of each level; NaN for levels without one.

    Examples
    --------
    >>> costs_of(0.5, None, np.array([0.0, 2.0]))
    array([0., 1.])
    """
    labels = values if levels is None else levels.decode(values)
    if isinstance(cost, Mapping):
        return np.array([float(cost.get(label, np.nan)) for label in labels.tolist()])
    return cost * np.asarray(labels, dtype=float)


def with_rounding(budget: float) -> float:
    """Largest sum of costs that counts as within a budget.

    Examples
    --------
    >>> 0.1 + 0.2 <= 0.3, 0.1 + 0.2 <= with_rounding(0.3)
    (False, True)
    """
    return budget + ROUNDING * max(1.0, abs(budget))


@dataclass(frozen=True, eq=False)
class JointSurface:
    """Draws and posterior mean of the worth of E[Y | do(a)], at plans of shape (M, K).

    It is a sum over components: actions that interact, directly or through others, form one.
    Under a log link all actions do. Costs add up over actions.

    Attributes
    ----------
    prediction : Prediction
        Without the terms that are zero where all actions are set.
    components : tuple of tuple of int
        Positions of the actions of each component.
    worth : callable
        Maps effects, shape (..., M), and plans to what they are worth, shape (..., M).
    """

    prediction: Prediction
    components: tuple[tuple[int, ...], ...]
    worth: Callable[[Array, Array], Array]

    @classmethod
    def of(cls, prediction: Prediction, worth: Callable[[Array, Array], Array]) -> Self:
        """Remove the biases, which vanish under a joint intervention.

        Raises
        ------
        ModelError
            Under a log link, if units of the population differ in the effect of an action.
        """
        if prediction.factor_varies:
            raise ModelError(
                "under a multiplicative model whose effects differ between units, the mean over "
                "the population takes too long for a search; give a value for each covariate and "
                f"grouping ({option('posterior.given', command='--given')}), or compare plans by "
                + option("posterior.joint_effect", command="`bayes-intgen effect`")
            )
        terms = prediction.terms
        count = len(terms.names)
        gates = terms.gates(np.ones((1, count), dtype=bool))[0]
        kept = [term for term, gate in zip(terms.terms, gates, strict=True) if gate != 0]
        reduced = _restricted(prediction, kept)
        together = np.full((count, count), not prediction.is_linear)
        for own in reduced.terms.summands:
            actions = [i for i in own.inputs if i < count]
            together[np.ix_(actions, actions)] = True
        size, component = connected_components(together, directed=False)
        return cls(
            reduced,
            tuple(tuple(np.flatnonzero(component == i).tolist()) for i in range(size)),
            worth,
        )

    @cached_property
    def parts(self) -> tuple["JointSurface", ...]:
        """The terms that change with each action, of length K: those of its component."""
        if len(self.components) == 1:
            return (self,) * len(self.components[0])
        terms = self.prediction.terms.terms
        parts: dict[int, JointSurface] = {}
        for own in self.components:
            kept = [term for term in terms if not set(own).isdisjoint(term.inputs)]
            part = replace(self, prediction=_restricted(self.prediction, kept), components=(own,))
            parts |= dict.fromkeys(own, part)
        return tuple(parts[k] for k in sorted(parts))

    def effects(self, points: Array) -> Array:
        """Draws of the joint effect, shape (S, M), chains one after the other."""
        mean = self.prediction.mean(points, np.ones(points.shape, dtype=bool))
        return mean.reshape(-1, len(points))

    def draws(self, points: Array) -> Array:
        """Draws of the worth, shape (S, M), chains one after the other."""
        return self.worth(self.effects(points), points)

    def mean(self, points: Array) -> Array:
        """Posterior mean of the worth, shape (M,)."""
        prediction = self.prediction
        if not prediction.is_linear:
            # The mean of an exponential is not the exponential at mean coefficients.
            parts = range(0, len(points), PLANS_AT_ONCE)
            means = [self.draws(points[i : i + PLANS_AT_ONCE]).mean(axis=0) for i in parts]
            return np.concatenate(means)
        # Deviations of a resampled population average zero.
        average = replace(
            prediction,
            coefficients=prediction.coefficients.mean(axis=(0, 1), keepdims=True),
            resampled=None,
        )
        mean = average.mean(points, np.ones(points.shape, dtype=bool))[0, 0]
        return np.asarray(self.worth(mean, points))


def _restricted(prediction: Prediction, kept: Sequence[Term]) -> Prediction:
    """Prediction by some of the terms."""
    terms = prediction.terms
    return replace(
        prediction,
        terms=replace(terms, terms=tuple(kept)),
        coefficients=prediction.coefficients[..., terms.columns_of(kept)],
    )
