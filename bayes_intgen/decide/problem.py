"""A decision about the actions of one fit, and the joint effect that it improves, as arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, Label
from bayes_intgen.data.queries import checked_value
from bayes_intgen.decide.decision import Decision
from bayes_intgen.errors import ModelError
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Term
from bayes_intgen.posterior.curves import fixed_values
from bayes_intgen.posterior.defaults import default_point, levels_of, varied
from bayes_intgen.posterior.draws import PosteriorDraws, support_of
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import option, quoted, refuse_unknown_actions

# Number of values of a continuous action among the candidates.
N_VALUES = 101
# Share of the values of an action in gaps of the support above which a plan says so.
MIN_GAP = 0.1
# Tolerance of costs against the budget, relative to it and to the costs of the cheapest plan.
ROUNDING = 1e-9
# Maximum number of rows near which plans are looked for.
MAX_ROWS = 2_000


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
    costs : tuple of float or mapping from level to float, length K
        Cost per unit of each action, or of its levels.
    budget : float or None
    baseline : ndarray, shape (K,)
    posterior : PosteriorDraws or None
        Fit whose rows must support a plan; None if plans beyond the support are allowed.
    value : float or None
        Worth of a unit of the effect, in the currency of the costs.
    gaps : tuple of str
        Names of actions of numbers with much that no rows support between their candidates.

    Raises
    ------
    ModelError
        If the budget does not pay for the cheapest plan.
    """

    categories: tuple[Categories | None, ...]
    candidates: tuple[Array, ...]
    costs: tuple[float | Mapping[Label, float], ...]
    budget: float | None
    baseline: Array
    posterior: PosteriorDraws | None
    value: float | None = None
    gaps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        least = self.least_cost
        if self.budget is not None and least > self.limit:
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
        baseline = fixed_values(posterior, default_point(posterior), decision.baseline)
        candidates = tuple(
            _candidates(posterior, k, decision.bounds.get(name), categories[k], baseline[k])
            for k, name in enumerate(names)
        )
        gaps: tuple[str, ...] = ()
        if not beyond_support:
            every, candidates = candidates, _supported(posterior, candidates, baseline)
            columns = zip(names, categories, every, candidates, strict=True)
            gaps = tuple(
                repr(name)
                for name, levels, own, supported in columns
                if levels is None and _share_between(own, supported) > MIN_GAP
            )
        costs = tuple(decision.cost.get(name, 0.0) for name in names)
        for k, cost in enumerate(costs):
            needed = candidates[k]
            if not len(needed):
                where = f"no value of {names[k]!r} within its bounds is supported by the rows"
                raise ModelError(f"{where}; {wider_search()}")
            if decision.value is not None:
                # The profit of a plan is compared with that of the baseline.
                needed = np.union1d(needed, baseline[[k]])
            _check_cost(cost, names[k], categories[k], needed)
        if all(len(values) == 1 for values in candidates):
            raise ModelError(
                "the bounds and the support leave one plan only; widen the bounds of an action"
            )
        limits = None if beyond_support else posterior
        budget, value = decision.budget, decision.value
        return cls(categories, candidates, costs, budget, baseline, limits, value, gaps)

    def cost_of_options(self, values: Array, actions: Sequence[int]) -> Array:
        """Cost of values, shape (M, number of actions), of some actions, shape (M,).

        An action whose levels have prices is at one of them.
        """
        columns = zip(actions, values.T, strict=True)
        costs = [costs_of(self.costs[k], self.categories[k], column) for k, column in columns]
        return np.asarray(np.sum(costs, axis=0))

    def cost(self, points: Array) -> Array:
        """Cost of plans, shape (M, K), as an array of shape (M,)."""
        return self.cost_of_options(points, range(len(self.candidates)))

    def worth(self, effects: Array, points: Array) -> Array:
        """Worth of plans, shape (M, K), with effects, shape (..., M): effect, or profit."""
        return effects if self.value is None else self.value * effects - self.cost(points)

    def with_budget_spent(self, plans: Array) -> Array:
        """Plans, shape (M, K), and others that spend what these leave of a budget on one action."""
        out = [plans]
        if self.budget is not None:
            left = self.budget - self.cost(plans)
            for k in np.flatnonzero(self.rates > 0):
                if self.categories[k] is None:
                    own = plans.copy()
                    low, high = self.candidates[k][[0, -1]]
                    own[:, k] = np.clip(own[:, k] + left / self.rates[k], low, high)
                    out.append(own)
        return np.unique(np.concatenate(out), axis=0)

    @property
    def rates(self) -> Array:
        """Cost per unit, shape (K,); zero for actions whose levels have prices."""
        return np.array([0.0 if isinstance(own, Mapping) else own for own in self.costs])

    @property
    def cheapest(self) -> Array:
        """Cheapest plan, shape (K,)."""
        costs = (self.cost_of_options(own[:, None], [k]) for k, own in enumerate(self.candidates))
        return np.array([own[i.argmin()] for own, i in zip(self.candidates, costs, strict=True)])

    @property
    def least_cost(self) -> float:
        """Cost of the cheapest plan."""
        return float(self.cost(self.cheapest[None])[0])

    @cached_property
    def limit(self) -> float:
        """Largest sum of costs that counts as within the budget; infinite without one."""
        if self.budget is None:
            return np.inf
        cheapest = enumerate(self.cheapest[:, None, None])
        floors = [self.cost_of_options(own, [k]) for k, own in cheapest]
        return self.budget + ROUNDING * max(abs(self.budget), float(np.abs(floors).sum()))

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
        found = plans[self.is_supported(plans, nearby=False)]
        gaps = np.abs(self.changes(found)).sum(axis=1)
        return np.asarray(found[gaps.argmin()] if len(found) else self.baseline)

    def changes(self, points: Array) -> Array:
        """Changes of plans, shape (M, K), from the baseline, relative to ranges of candidates."""
        spans = np.array([np.ptp(own) for own in self.candidates])
        return (points - self.baseline) / np.where(spans > 0, spans, 1.0)

    def is_affordable(self, points: Array) -> NDArray[np.bool_]:
        """Whether the budget pays for plans, shape (M,)."""
        return np.asarray(self.cost(points) <= self.limit)

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
    posterior: PosteriorDraws, k: int, bounds: Any, levels: Categories | None, usual: float
) -> Array:
    """Values of one action within its bounds, that of the baseline, ``usual``, included."""
    coordinate, named_levels = posterior.terms.coordinates[k], posterior.categories[k]
    name = posterior.actions[k]
    if bounds is None:
        bounds = (coordinate.low, coordinate.high) if named_levels is None else named_levels.labels
    elif isinstance(bounds, str | int | float):
        # One value holds the action there.
        bounds = (bounds, bounds)
    if named_levels is None and len(bounds) != 2:
        raise ModelError(
            f"bounds of {name!r} must be two values, low and high, not {quoted(bounds)}"
        )
    ends = [checked_value(bound, name, named_levels) for bound in bounds]
    if len({*ends}) == 1:
        # An action with few values may be held between them.
        values = np.array(ends[:1])
    elif levels is None:
        extra = [v for v in (0.0, usual) if ends[0] <= v <= ends[1]]
        values = np.append(np.linspace(ends[0], ends[1], N_VALUES), extra)
    elif named_levels is None:
        codes = np.array(levels.codes)
        values = codes[(codes >= min(ends)) & (codes <= max(ends))]
        if not len(values):
            spelled = levels.spelled()
            raise ModelError(f"bounds of {name!r} exclude all of its values, {spelled}; widen them")
    else:
        values = np.array(ends)
    return np.unique(values)


def _supported(
    posterior: PosteriorDraws, candidates: Sequence[Array], baseline: Array
) -> tuple[Array, ...]:
    """Those values of each action that rows support, whatever the others but for their link."""
    points = np.concatenate([varied(baseline, k, own) for k, own in enumerate(candidates)])
    every = np.ones(points.shape[1], dtype=bool)
    verdict = support_of(posterior).verdict(points, every, nearby=False)
    alone = np.split(verdict.close & verdict.separated, np.cumsum([*map(len, candidates)]))
    return tuple(own[alone[k][:, k]] for k, own in enumerate(candidates))


def _share_between(values: Array, supported: Array) -> float:
    """Share of ascending values that lie between supported ones, and are not among them."""
    lost = np.setdiff1d(values, supported)
    is_between = (lost > supported.min(initial=np.inf)) & (lost < supported.max(initial=-np.inf))
    return float(is_between.sum() / len(values))


def wider_search() -> str:
    """Remedies where the rows support no plan."""
    beyond = option("beyond_support", "True", command="--beyond-support of the command")
    return f"widen the bounds, or allow plans beyond the support: {beyond}"


def _check_cost(
    cost: float | Mapping[Label, float], name: str, levels: Categories | None, needed: Array
) -> None:
    """Refuse prices that needed levels lack, or others have, and a cost per unit of names."""
    if not isinstance(cost, Mapping):
        if cost and levels is not None and not levels.numeric:
            each = f"give the cost of each, cost={{{name!r}: {{{levels.labels[0]!r}: ...}}}}"
            remedy = option(each, command="leave it out of --cost, which is per unit")
            raise ModelError(f"{name!r} has named levels; {remedy}")
        return
    if levels is None:
        raise ModelError(f"{name!r} has no levels; give its cost per unit as a number")
    missing = [label for label in levels.decode(needed).tolist() if label not in cost]
    unknown = [label for label in cost if label not in levels.labels]
    if missing or unknown:
        problem = f"no cost of {quoted(missing)}" if missing else f"unknown level {quoted(unknown)}"
        raise ModelError(f"cost of {name!r}: {problem}; its levels are {levels.spelled()}")


def costs_of(
    cost: float | Mapping[Label, float], levels: Categories | None, values: Array
) -> Array:
    """Costs of values of an action, per unit or of each level; NaN for levels without one.

    Examples
    --------
    >>> costs_of(0.5, None, np.array([0.0, 2.0]))
    array([0., 1.])
    """
    if not isinstance(cost, Mapping):
        # The codes of numbers are these.
        return np.asarray(cost * values)
    labels = {} if levels is None else dict(zip(levels.codes, levels.labels, strict=True))
    return np.array([float(cost.get(labels.get(own, own), np.nan)) for own in values.tolist()])


@dataclass(frozen=True, eq=False)
class JointSurface:
    """Draws of the worth of E[Y | do(a)], at plans of shape (M, K).

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
        every = np.ones((1, count), dtype=bool)
        acting = [part for part in terms.parts if part.gate(every)[0] != 0]
        names = {part.name for part in acting}
        reduced = _restricted(prediction, [t for t in terms.terms if t.name in names])
        together = np.full((count, count), not prediction.is_linear)
        for own in (summand for part in acting for summand in part.summands):
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


def _restricted(prediction: Prediction, kept: Sequence[Term]) -> Prediction:
    """Prediction by some of the terms."""
    terms = prediction.terms
    return replace(
        prediction,
        terms=replace(terms, terms=tuple(kept)),
        coefficients=prediction.coefficients[..., terms.columns_of(kept)],
    )
