"""Planned experiments in the user's words, and their value: narrower intervals, better choices."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import xarray as xr

from bayes_intgen._arguments import (
    instance,
    items,
    mapping,
    positive_number,
    probability,
    row_count,
)
from bayes_intgen._random import Seed, generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Label, short_label
from bayes_intgen.data.queries import is_sequence
from bayes_intgen.decide.belief import Targets
from bayes_intgen.decide.best import Plan, plan_at, search_of
from bayes_intgen.decide.decision import Decision, checked_price
from bayes_intgen.decide.planned_rows import (
    belief_of,
    information_of_rows,
    planned_rows,
    warn_of_few_draws,
)
from bayes_intgen.decide.search import Search
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.regimes import regime_label
from bayes_intgen.posterior.draws import PosteriorDraws, support_of
from bayes_intgen.text.formats import (
    decimals_for,
    format_level,
    format_to_uncertainty,
    shorter_number,
)

# Draws that are moved towards their mean, by these factors, to find such plans.
N_MOVED, FACTORS = 100, (1.0, 0.5, 0.2)
# Number of reference rows at which support is checked.
N_CHECKED = 200
# Monte Carlo sample size of the posterior means after an experiment.
N_MEANS = 8_000


@dataclass(frozen=True)
class Experiment:
    """Rows that could be collected: of an experiment, or more history.

    Attributes
    ----------
    actions : str, tuple of str or None
        Actions that are set; None for observational rows. Stored as a tuple.
    rows : int
        Number of rows.
    at : value, list of values, or mapping from action to either, optional
        Values to which the actions are set, in turn. By default they are drawn from the rows in
        which the action was set, or from all rows if it never was.
    cost : float
        Cost of the experiment, in the outcome's units, or in the currency of the costs if the
        decision has a value.

    Raises
    ------
    ModelError
        On repeated actions, values of an action that is not set, fewer than one row, or a cost
        that is negative or not finite.

    Examples
    --------
    >>> Experiment("radio", rows=500, at=[0.0, 20.0], cost=3.0).label
    'do(radio=0.0|20.0)'
    >>> Experiment(None, rows=500).label
    'observational'
    """

    actions: str | tuple[str, ...] | None
    rows: int
    at: Any = None
    cost: float = 0.0

    def __post_init__(self) -> None:
        names = named_actions(self.actions)
        object.__setattr__(self, "actions", names)
        object.__setattr__(self, "cost", checked_price(self.cost, "an experiment"))
        object.__setattr__(self, "rows", row_count(self.rows))
        object.__setattr__(self, "at", _checked_values(self.at, names))

    @property
    def names(self) -> tuple[str, ...]:
        """Actions that are set."""
        assert isinstance(self.actions, tuple)
        return self.actions

    @property
    def label(self) -> str:
        """Label of the regime, with the values of actions for which they are given."""
        return regime_label(
            [
                f"{name}={'|'.join(map(str, self.at[name]))}" if name in self.at else name
                for name in self.names
            ]
        )


def named_actions(actions: Any) -> tuple[str, ...]:
    """Names of the actions of a regime: one name, several, or None for none.

    Examples
    --------
    >>> named_actions("tv"), named_actions(None)
    (('tv',), ())
    """
    if actions is None:
        return ()
    if isinstance(actions, str):
        return (actions,)
    names = items(actions, "actions", "names")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ModelError(f"{repeated!r} occurs twice among the actions of an experiment")
    return names


def default_regimes(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Each action alone, all together, and none, by the actions set.

    Examples
    --------
    >>> default_regimes(["tv", "radio"])
    [('tv',), ('radio',), ('tv', 'radio'), ()]
    """
    return list(dict.fromkeys([*((name,) for name in names), tuple(names), ()]))


def _checked_values(at: Any, names: tuple[str, ...]) -> dict[str, tuple[Label, ...]]:
    """Values per action."""
    if at is None:
        return {}
    if not isinstance(at, Mapping):
        if len(names) != 1:
            raise ModelError(
                f"at must map actions to values where {len(names)} actions are set; leave it out "
                "for values as in the rows"
            )
        at = {names[0]: at}
    values = {}
    for name, own in mapping(at, "at", "actions to values").items():
        if name not in names:
            raise ModelError(f"at has values of {name!r}, which the experiment does not set")
        values[name] = items(own, f"at[{name!r}]", "values") if is_sequence(own) else (own,)
        if not values[name]:
            raise ModelError(f"at has no values of {name!r}; leave it out, or give one or more")
    return values


@dataclass(frozen=True, eq=False)
class Choice:
    """Best plan now, and the plans that may be best after an experiment.

    Attributes
    ----------
    plan : Plan
    effects : ndarray, shape (S, J)
        Draws of the joint effects of the plans, the first of which is ``plan``.
    gains : ndarray, shape (S, J)
        Draws of the gains of the plans over the baseline.
    beyond_support : bool
        Whether plans that no rows support were considered.
    """

    plan: Plan
    effects: Array
    gains: Array
    beyond_support: bool

    @classmethod
    def of(cls, posterior: PosteriorDraws, decision: Decision, beyond_support: bool) -> Self:
        """Find the best plan, and those that are best for draws or for means of draws.

        All plans are considered where the rows support none.
        """
        support = support_of(posterior)
        rows = np.concatenate(support.reference.rows)
        some = rows[:: max(1, len(rows) // N_CHECKED)]
        beyond_support = beyond_support or not support.supported(some).any()
        search = search_of(posterior, decision, "mean", beyond_support)
        point, draws = search.best(), search.surface.draws
        plan = plan_at(posterior, search, point, search.best_of_draws(point))
        effects = draws(plans_after(search, point))
        gains = effects - draws(search.problem.baseline[None])
        return cls(plan, effects, gains, beyond_support)

    @property
    def perfect_information(self) -> float:
        """Expected value of perfect information."""
        # The best plans of draws come from a grid, those of means of draws are finer.
        regret = self.gains.max(axis=1) - self.gains[:, 0]
        return float(np.maximum(self.plan.regret.to_numpy().ravel(), regret).mean())

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes that describe the choice."""
        return {
            **self.plan.gain.attrs,
            "interval": "gain of the best plan over the baseline",
            "plan": spelled(self.plan.point),
            "baseline": spelled(self.plan.baseline),
            "beyond_support": int(self.beyond_support),
        }


def plans_after(search: Search, plan: Array) -> Array:
    """Plans that may be best after an experiment, shape (J, K), the present one first.

    The posterior mean after an experiment lies between the present one and a draw.
    """
    surface, prediction = search.surface, search.surface.prediction
    count = prediction.sd.size
    which = np.unique(np.linspace(0, count - 1, N_MOVED).round().astype(int))
    some = prediction.map_draws(lambda draws: draws.reshape(count, *draws.shape[2:])[which][None])
    centre = prediction.coefficients.mean(axis=(0, 1))
    candidates = [plan[None]]
    for factor in FACTORS:
        moved = replace(some, coefficients=centre + factor * (some.coefficients - centre))
        of_moved = replace(search, surface=replace(surface, prediction=moved))
        candidates.append(of_moved.best_of_draws(plan).points)
    points = np.unique(np.concatenate(candidates), axis=0)
    return np.concatenate([plan[None], points[(points != plan).any(axis=1)]])


def value_of_information(mean: Array, moves: Array) -> tuple[float, float]:
    """Expected value of a better choice, and its Monte Carlo standard error.

    Parameters
    ----------
    mean : ndarray, shape (J,)
        Present means of plans, the best of which would be chosen now.
    moves : ndarray, shape (n, J)
        Draws of the changes of these means.

    Examples
    --------
    >>> value_of_information(np.array([1.0, 0.0]), np.array([[0.0, 0.0], [0.0, 3.0]]))[0]
    1.0
    """
    after = mean + moves
    gain = after.max(axis=1) - after[:, mean.argmax()]
    return float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))


def experiment_values(
    posterior: PosteriorDraws,
    decision: Decision,
    experiments: Sequence[Experiment] | None,
    rows: int | None,
    horizon: float,
    level: float,
    beyond_support: bool,
    seed: Seed,
) -> xr.Dataset:
    """Rank experiments; see :meth:`bayes_intgen.Posterior.experiments`."""
    level, horizon = probability(level, "level"), positive_number(horizon, "horizon")
    instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
    listed = checked_experiments(posterior, experiments, rows)
    rng = generator(seed, "experiments")
    # Before the search for plans, which takes longer than errors in the experiments should.
    planned = [planned_rows(posterior, own.names, own.at, rng) for own in listed]
    choice = Choice.of(posterior, decision, beyond_support)
    belief, mean = belief_of(posterior), choice.effects.mean(axis=0)
    normals = rng.standard_normal((N_MEANS, len(mean)))
    updates = [
        belief.update(own.rows * information_of_rows(posterior, belief, plan, rng))
        for own, plan in zip(listed, planned, strict=True)
    ]
    warn_of_few_draws(updates)
    loadings, _ = belief.loadings(choice.effects)
    evsi, error = np.array(
        [value_of_information(mean, own.moves(loadings, normals)) for own in updates]
    ).T
    gain = Targets.of_draws(belief, choice.gains[:, :1], level)
    width = np.concatenate([gain.widths_after(own) for own in updates])
    cost = np.array([own.cost for own in listed])
    net = horizon * evsi - cost
    order = np.lexsort((-evsi, -net))
    columns = {
        "evsi": evsi,
        "evsi_error": error,
        "net_benefit": net,
        "width_before": np.repeat(gain.widths, len(listed)),
        "width_after": width,
        "rows": np.array([own.rows for own in listed]),
        "cost": cost,
        "others": np.array([plan.others for plan in planned], dtype=str),
    }
    labels = [own.label for own in listed]
    # With the number of rows where several experiments set the same.
    labels = [
        f"{own.label}, {own.rows} rows" if labels.count(own.label) > 1 else own.label
        for own in listed
    ]
    table = xr.Dataset(
        {name: ("experiment", values[order]) for name, values in columns.items()},
        {"experiment": np.array(labels, dtype=str)[order]},
        {**choice.attributes, "level": level, "horizon": horizon},
    )
    table["evpi"] = choice.perfect_information
    table["explanation"] = ("experiment", [*explanations(table)])
    return table


def checked_experiments(
    posterior: PosteriorDraws, experiments: Any, rows: int | None = None
) -> list[Experiment]:
    """Experiments to compare: by default each action alone, all together, and more history.

    ``rows`` of each by default: as many as the regimes in the data have on average.
    """
    if experiments is not None:
        if rows is not None:
            raise ModelError("rows are those of the default experiments; give experiments or rows")
        own = [experiments] if isinstance(experiments, Experiment) else experiments
        listed = list(items(own, "experiments", "experiments"))
        if not listed:
            raise ModelError("experiments are empty; leave them out for the default ones")
        for one in listed:
            instance(one, Experiment, "an experiment", "bayes_intgen.Experiment", ModelError)
        return listed
    if rows is None:
        rows = max(1, round(np.mean([*support_of(posterior).regimes.values()])))
    return [Experiment(names, rows) for names in default_regimes(posterior.actions)]


def spelled(point: Mapping[str, Any]) -> str:
    """A plan as text.

    Examples
    --------
    >>> spelled({"tv": 2.0, "drug": "on"})
    'tv=2, drug=on'
    """
    return ", ".join(f"{name}={short_label(value)}" for name, value in point.items())


def explanations(table: xr.Dataset) -> Iterator[str]:
    """A sentence per experiment: interval, value, and whether it is worth its cost."""
    evpi, level = float(table["evpi"]), format_level(table.attrs["level"])
    names = ("experiment", "rows", "width_before", "width_after", "evsi", "cost", "net_benefit")
    columns = (table[name].to_numpy().tolist() for name in names)
    for label, rows, before, after, evsi, cost, net in zip(*columns, strict=True):
        widths = [format_to_uncertainty(own, decimals_for(before)) for own in (before, after)]
        share = 1 - after / before if before > 0 else 0.0
        part = f", {min(1.0, evsi / evpi):.0%} of perfect information" if evpi > 0 else ""
        worth = f", {'more' if net > 0 else 'less'} than their cost of {shorter_number(cost)}"
        worth *= cost > 0
        yield (
            f"{rows:,} more rows of {label.replace('observational', 'history')} narrow the {level} "
            f"interval of the gain from {widths[0]} to {widths[1]}, by {share:.0%}; a better "
            f"choice after them is worth {shorter_number(evsi, 2)}{part}{worth}."
        )
