"""A decision about the actions of one fit, and the joint effect that it improves, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.queries import checked_value
from bayes_intgen.decide.decision import Decision, RiskMeasure
from bayes_intgen.errors import ModelError
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.posterior.defaults import levels_of, medians, varied
from bayes_intgen.posterior.draws import PosteriorDraws, support_of
from bayes_intgen.text.messages import option, quoted, refuse_unknown_actions

# Number of values of a continuous action among the candidates.
N_VALUES = 101
# Relative tolerance of costs against the budget.
ROUNDING = 1e-9
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
        Costs of the candidates of an action whose levels have prices.
    budget : float or None
    baseline : ndarray, shape (K,)
    posterior : PosteriorDraws or None
        Fit whose rows must support a plan; None if plans beyond the support are allowed.

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

    def __post_init__(self) -> None:
        least = self.least_cost
        if self.budget is not None and least > with_rounding(self.budget):
            raise ModelError(
                f"the budget of {self.budget:g} pays for no plan: the cheapest one costs "
                f"{least:g}; raise the budget, or widen the bounds"
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
        baseline = medians(posterior)
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
                _refuse_unpriced(cost, name, categories[k], candidates[k])
                prices[k] = costs_of(cost, categories[k], candidates[k])
            elif levels is None:
                rates[k] = cost
            elif levels.numeric:
                prices[k] = costs_of(cost, levels, candidates[k])
            else:
                raise ModelError(
                    f"{name!r} has named levels; "
                    + option(
                        f"give the cost of each, cost={{{name!r}: {{{levels.labels[0]!r}: ...}}}}",
                        command="leave it out of --cost, which is per unit",
                    )
                )
        needed = None if beyond_support else posterior
        problem = cls(categories, candidates, rates, prices, decision.budget, baseline, needed)
        if all(len(values) == 1 for values in candidates):
            raise ModelError(
                "the bounds and the support leave one plan only; widen the bounds of an action"
            )
        return problem

    def cost_of_options(self, values: Array, actions: Sequence[int]) -> Array:
        """Cost of values, shape (M, number of actions), of some actions, shape (M,).

        An action whose levels have prices is at one of its candidates.
        """
        total = values @ self.rates[list(actions)]
        for k, column in zip(actions, values.T, strict=True):
            if k in self.prices:
                total = total + self.prices[k][np.searchsorted(self.candidates[k], column)]
        return np.asarray(total)

    def cost(self, points: Array) -> Array:
        """Cost of plans, shape (M, K), as an array of shape (M,)."""
        return self.cost_of_options(points, range(len(self.candidates)))

    @property
    def has_costs(self) -> bool:
        """Whether any plan costs anything."""
        return bool(self.rates.any()) or bool(self.prices)

    @property
    def least_cost(self) -> float:
        """Cost of the cheapest plan."""
        return sum(
            float(self.cost_of_options(values[:, None], [k]).min())
            for k, values in enumerate(self.candidates)
        )

    def is_affordable(self, points: Array) -> NDArray[np.bool_]:
        """Whether the budget pays for plans, shape (M,)."""
        if self.budget is None:
            return np.ones(len(points), dtype=bool)
        return np.asarray(self.cost(points) <= with_rounding(self.budget))

    def is_feasible(self, points: Array) -> NDArray[np.bool_]:
        """Whether the budget pays for plans and the rows support them, shape (M,)."""
        out = self.is_affordable(points)
        if self.posterior is not None and out.any():
            out[out] = support_of(self.posterior).supported(points[out])
        return out


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
        verdict = support_of(posterior).verdict(points, np.ones(points.shape[1], dtype=bool))
        values = values[(verdict.close & verdict.separated)[:, k]]
    if not len(values):
        raise ModelError(
            f"no value of {name!r} within its bounds is supported by the rows; {wider_search()}"
        )
    return values


def wider_search() -> str:
    """Remedies where the rows support no plan."""
    beyond = option("beyond_support", "True", command="--beyond-support of best, next and split")
    return f"widen the bounds, or allow plans beyond the support: {beyond}"


def _refuse_unpriced(
    cost: Mapping[Any, float], name: str, levels: Categories | None, candidates: Array
) -> None:
    """Raise ModelError if the costs of levels are not those of the candidates."""
    if levels is None:
        raise ModelError(f"{name!r} has no levels; give its cost per unit as a number")
    missing = [label for label in levels.decode(candidates).tolist() if label not in cost]
    unknown = [label for label in cost if label not in levels.labels]
    if missing or unknown:
        problem = f"no cost of {quoted(missing)}" if missing else f"unknown level {quoted(unknown)}"
        raise ModelError(f"cost of {name!r}: {problem}; its levels are {levels.spelled()}")


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
    """Draws and posterior mean of E[Y | do(a)], at plans of shape (M, K).

    It is a sum over components: actions that interact, directly or through others, form one.
    Under a log link all actions do.

    Attributes
    ----------
    prediction : Prediction
        Without the terms that are zero where all actions are set.
    components : tuple of tuple of int
        Positions of the actions of each component.
    """

    prediction: Prediction
    components: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, prediction: Prediction) -> Self:
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
        columns = np.concatenate(
            [np.arange(terms.size)[terms.columns[term.name]] for term in kept]
        ).astype(int)
        reduced = replace(
            prediction,
            terms=replace(terms, terms=tuple(kept)),
            coefficients=prediction.coefficients[..., columns],
        )
        together = np.full((count, count), not prediction.is_linear)
        for own in reduced.terms.summands:
            actions = [i for i in own.inputs if i < count]
            together[np.ix_(actions, actions)] = True
        size, component = connected_components(together, directed=False)
        return cls(
            reduced,
            tuple(tuple(np.flatnonzero(component == i).tolist()) for i in range(size)),
        )

    def draws(self, points: Array) -> Array:
        """Draws of the joint effect, shape (S, M), chains one after the other."""
        mean = self.prediction.mean(points, np.ones(points.shape, dtype=bool))
        return mean.reshape(-1, len(points))

    def measured(self, points: Array, measure: RiskMeasure) -> Array:
        """Measure of the draws of the joint effect, shape (M,)."""
        parts = range(0, len(points), PLANS_AT_ONCE)
        return np.concatenate([measure(self.draws(points[i : i + PLANS_AT_ONCE])) for i in parts])

    def mean(self, points: Array) -> Array:
        """Posterior mean of the joint effect, shape (M,)."""
        prediction = self.prediction
        if not prediction.is_linear:
            # The mean of an exponential is not the exponential at mean coefficients.
            return self.measured(points, lambda draws: draws.mean(axis=0))
        # Deviations of an unseen group and of a resampled population average zero.
        average = replace(
            prediction,
            coefficients=prediction.coefficients.mean(axis=(0, 1), keepdims=True),
            unseen=(),
            resampled=None,
        )
        return np.asarray(average.mean(points, np.ones(points.shape, dtype=bool))[0, 0])
