"""Certificates: what the regimes in the data answer, with weights, and what would answer more.

For fixed actions the mean outcome is affine in the mask R (R_k = 1 where action k was set),

    m(a, R) = c + sum_k phi_k(a_k) + sum_k (1 - R_k) delta_k(a_k, a_pa(k)),

so a target mask R* is answered when (1, R*) lies in the span of the masks (1, R) in the data:
the rank test. It holds at values that the regimes share; `bayes_intgen.support` tests the same at
single points.

**The graph adds nothing to this.** The rank test is sharp for every graph over the actions: for
whether a mask is identified it makes no difference that delta_k depends on few other actions, and
therefore nothing here asks for the graph. (It does help a fit: fewer unknown functions, narrower
bands.)

*Proof.* Let (1, R*) lie outside the span. Some (c', d_1, ..., d_K) then has
c' + sum_k (1 - R_k) d_k = 0 for every mask in the data, and not for R*. Add c' to c and the
constant d_k to each delta_k. A constant is a function of (a_k, a_pa(k)) whatever the parents are,
so the graph is respected; no mean in the data changes, and the target's does. This works at
*every* phi and delta: there is no lucky exception.

*The causal model does not rule those constants out*, though phi_k and phi_k + delta_k average the
same f_k over one hidden cause C_k. Two constructions, each within the assumptions of the method
(Y = sum_k f_k(A_k, C_k) + U with independent hidden causes):

1. Actions with finitely many values: *any* tables phi_k, delta_k go with *any* law p(a_k | a_pa(k))
   that leaves no action certain. Let C_k be the list of the values that action k would take, one
   for each value x of its parents, drawn independently from p(. | x); let A_k = C_k(A_pa(k)) and
   f_k(a, C) = phi_k(a) + sum_x delta_k(a, x) (1{C(x) = a} - p(a | x)) / (1 - p(a | x)).
   Its mean is phi_k(a). Given A_k = a and parents x, the one term of x is known and is
   delta_k(a, x); the other terms average to zero: the mean is phi_k(a) + delta_k(a, x).
2. Continuous actions, and the whole law of the outcome: let C_k be uniform on a circle of length
   1, A_k = C_k + Phi(d_k + Z_k) mod 1 with Z_k standard normal and Phi its distribution function,
   f_k(a, C) = Phi^-1(a - C mod 1), U normal with mean c, and set actions uniformly. In every
   regime the actions are independent and uniform, and Y given (a, R) is normal with mean
   c + sum_k (1 - R_k) d_k and a variance that does not depend on d: all data that the regimes can
   ever give agree for two such worlds, the effect under R* does not.

*What does help* is knowledge of another kind. An action known to be unconfounded has
delta_k = 0: its column leaves the rank test. Forms known to have no free level tie the level of
delta_k down, and so can an action known to be monotone in one hidden disturbance, whose parents
then serve as instruments. And a graph widens *where* an answer holds, not which masks are
answered: if the regimes do not share their support, functions of few actions can be put together
from rows elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen.basis.categories import Categories, Label
from bayes_intgen.errors import DataError
from bayes_intgen.identification.labels import regime_label
from bayes_intgen.identification.masks import Mask, regime_weights
from bayes_intgen.identification.missing_experiments import (
    Vector,
    missing_experiments,
    null_space_of_regimes,
    project,
)
from bayes_intgen.text.number_format import format_number

Experiment = tuple[str, ...]
State = Literal["set alone", "only together", "never set"]
# Experiments with at most this many distinct values identify these values and no range.
FEW_SETTINGS = 3


@dataclass(frozen=True, repr=False)
class Certificate:
    """Whether the regimes in the data answer a question, how, and what is missing if not.

    Made by :meth:`RegimeData.identify`. It speaks of the mean outcome with the actions in
    ``target`` set and the others observed, at values of the actions that every regime with a
    weight reaches. The module's docstring has the proof that nothing weaker would do, whatever
    the graph.

    Attributes
    ----------
    target : tuple of str
        The actions set in the question, in the order of the data; empty: observational.
    identified : bool
        Whether the regimes in the data determine the answer.
    weights : mapping of str to Fraction
        Exact weights, none of them zero, by the label of the regime: the mean under the target
        is this combination of the regimes' means at the same actions. Empty where not
        identified; the target alone where it is among the data.
    missing : tuple of tuples of tuples of str
        Sets of further experiments, each an experiment for what it sets, that would identify
        the target: up to 20. Every single experiment that would do (one action set,
        observational, or the target itself); where no experiment on one action would, also
        smallest sets of such. These are all of the smallest size, unless there were over 5,000
        sets of a size to try (never with up to 13 actions): then one set from which nothing can
        be left out.
    states : mapping of str to str
        For each action ``"set alone"`` (some regime sets it and nothing else),
        ``"only together"`` (with others only) or ``"never set"``.
    rows : mapping of str to int
        Rows of each regime in the data, by label.
    regimes : mapping of str to tuple of str
        What each regime in the data sets, by label.
    reason : str
        Why the target is not identified; empty where it is.
    only_at : mapping of str to tuple of str, bool or float
        Actions of the target whose experiments have few values, with these values, levels by
        their names: the certificate holds there only. Empty where the values are not known.
    """

    target: Experiment
    identified: bool
    weights: Mapping[str, Fraction]
    missing: tuple[tuple[Experiment, ...], ...]
    states: Mapping[str, State]
    rows: Mapping[str, int]
    regimes: Mapping[str, Experiment]
    reason: str
    only_at: Mapping[str, tuple[Label, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        label = regime_label(self.target)
        if not self.identified:
            return f"{label} is not identified: {self.reason}. {self._remedy()}"
        if label in self.rows:
            how = f"it is in the data, with {self.rows[label]} rows"
        else:
            how = _combination(self.weights)
        return f"{label} is identified: {how}{self._where()}."

    __repr__ = __str__

    def _where(self) -> str:
        """The only values of the set actions at which the certificate holds, if they are few."""
        if not self.only_at:
            return ""
        places = [
            f"{name} = {' or '.join(map(_spelled, values))}"
            for name, values in self.only_at.items()
        ]
        return f"; at {_listed(places)} only"

    def _remedy(self) -> str:
        """The further experiments in a sentence or two."""
        single = [_phrase(s[0]) for s in self.missing if len(s) == 1 and s[0] != self.target]
        shown = single[:3] + [f"one of {len(single) - 3} others"] * (len(single) > 3)
        itself = f"{regime_label(self.target)} itself" if self.target else _phrase(())
        ways = f"{', '.join(shown)}, or {itself}" if shown else itself
        sentence = f"One more experiment would do: {ways}."
        sets = [s for s in self.missing if len(s) > 1]
        if not sets:
            return sentence
        example = "for example " if len(sets) > 1 else ""
        needed = _listed([_phrase(experiment) for experiment in sets[0]])
        return f"{sentence} With one action set at a time it takes {example}{needed}."

    def to_dataset(self) -> xr.Dataset:
        """The certificate as labelled arrays.

        Returns
        -------
        Dataset
            ``weights`` (regime): float, NaN where the target is not identified; ``rows``
            (regime): int; ``intervened`` (regime, action): bool; ``state`` (action): str. The
            attributes are the target's label and the sentence that ``str`` gives.

        Examples
        --------
        >>> data.identify(["red", "green"]).to_dataset().weights.sel(regime="do(red)").item()
        1.0
        """
        nothing = 0.0 if self.identified else np.nan
        return xr.Dataset(
            {
                "weights": (
                    "regime",
                    [float(self.weights.get(label, nothing)) for label in self.regimes],
                ),
                "rows": ("regime", [self.rows[label] for label in self.regimes]),
                "intervened": (
                    ("regime", "action"),
                    [[name in chosen for name in self.states] for chosen in self.regimes.values()],
                ),
                "state": ("action", list(self.states.values())),
            },
            coords={"regime": list(self.regimes), "action": list(self.states)},
            attrs={"target": regime_label(self.target), "summary": str(self)},
        )


def settings_of(
    names: Sequence[str],
    actions: NDArray[np.float64],
    intervened: NDArray[np.bool_],
    categories: Sequence[Categories | None],
) -> dict[str, tuple[Label, ...]]:
    """Values of actions whose experiments have few of them, though the action takes others.

    Parameters
    ----------
    names : sequence of str, length K
    actions : ndarray, shape (n, K)
    intervened : ndarray of bool, shape (n, K)
    categories : sequence of Categories or None, length K

    Returns
    -------
    dict of str to tuple of str, bool or float
        For each action with at most three distinct values where it is set, and a further one
        where it is not, the values where it is set, levels by their names.

    Examples
    --------
    >>> actions, intervened = np.array([[0.2], [0.7], [1.0]]), np.array([[0], [0], [1]]) > 0
    >>> settings_of(["red"], actions, intervened, [None])
    {'red': (1.0,)}
    """
    few = {}
    for k, name in enumerate(names):
        was_set = intervened[:, k]
        values = np.unique(actions[was_set, k])
        if 0 < len(values) <= FEW_SETTINGS and not np.isin(actions[~was_set, k], values).all():
            levels = categories[k]
            few[name] = tuple((values if levels is None else levels.decode(values)).tolist())
    return few


def certify(
    names: Sequence[str],
    regimes: Mapping[Mask, int],
    actions: Sequence[str],
    settings: Mapping[str, tuple[Label, ...]] | None = None,
) -> Certificate:
    """The certificate for setting ``actions``, from regimes with these masks and rows.

    Parameters
    ----------
    names : sequence of str, length K
        All actions.
    regimes : mapping of tuple of bool to int
        The masks in the data, at least one, each with its number of rows.
    actions : sequence of str
        The actions set in the question; none for the observational regime.
    settings : mapping of str to tuple of str, bool or float, optional
        From :func:`settings_of`: values to which actions were set, where they are few.

    Raises
    ------
    DataError
        Where ``actions`` is a string, or has a name twice or one that is no action.

    Examples
    --------
    >>> certify(["red", "green"], {(False, False): 90, (True, False): 10}, ["red", "green"])
    do(red, green) is not identified: green was never set. One more experiment would do: \
do(green), or do(red, green) itself.
    """
    target = _target_mask(names, actions)
    independent, blind = null_space_of_regimes(regimes, len(names))
    weights = _weights(regimes, independent, target)

    def chosen(mask: Mask) -> Experiment:
        return tuple(name for name, was_set in zip(names, mask, strict=True) if was_set)

    missing = () if weights else missing_experiments(independent, blind, target)
    return Certificate(
        target=chosen(target),
        identified=bool(weights),
        weights={regime_label(chosen(mask)): weight for mask, weight in weights.items()},
        missing=tuple(tuple(chosen(mask) for mask in masks) for masks in missing),
        states={name: _state(k, regimes) for k, name in enumerate(names)},
        rows={regime_label(chosen(mask)): count for mask, count in regimes.items()},
        regimes={regime_label(chosen(mask)): chosen(mask) for mask in regimes},
        reason="" if weights else _reason(names, list(regimes), blind, target),
        only_at={
            name: (settings or {})[name]
            for name in (chosen(target) if weights else ())
            if name in (settings or {})
        },
    )


def _target_mask(names: Sequence[str], actions: Sequence[str]) -> Mask:
    if isinstance(actions, str):
        raise DataError(f"actions must be a list of names; write [{actions!r}]")
    chosen = list(actions)
    unknown = list(dict.fromkeys(name for name in chosen if name not in names))
    if unknown:
        raise DataError(
            f"{_listed([repr(name) for name in unknown])} "
            f"{'is no action' if len(unknown) == 1 else 'are no actions'}; the actions are "
            f"{', '.join(map(repr, names))}"
        )
    repeated = [name for name in names if chosen.count(name) > 1]
    if repeated:
        raise DataError(
            f"action {', '.join(map(repr, repeated))} is named twice; name each action once"
        )
    return tuple(name in chosen for name in names)


def _state(action: int, regimes: Mapping[Mask, int]) -> State:
    sizes = [sum(mask) for mask in regimes if mask[action]]
    if not sizes:
        return "never set"
    return "set alone" if min(sizes) == 1 else "only together"


def _weights(
    regimes: Mapping[Mask, int], independent: list[Mask], target: Mask
) -> dict[Mask, Fraction]:
    """Weights other than zero; none where the target is not identified."""
    if target in regimes:  # its own rows, not a detour over others
        return {target: Fraction(1)}
    found = regime_weights(independent, target) or ()
    return {mask: weight for mask, weight in zip(independent, found, strict=False) if weight}


def _reason(names: Sequence[str], masks: list[Mask], blind: list[Vector], target: Mask) -> str:
    """Why the target is not identified: each clause is reason enough."""
    share = [sum(mask[k] for mask in masks) for k in range(len(names))]
    never = [n for k, n in enumerate(names) if target[k] and share[k] == 0]
    always = [n for k, n in enumerate(names) if not target[k] and share[k] == len(masks)]
    clauses = [f"{_listed(never)} {_was(never)} never set"] if never else []
    if always:
        clauses.append(f"{_listed(always)} {_was(always)} set in every regime")
    if clauses:
        return ", and ".join(clauses)
    # The direction with the fewest actions that moves the target and nothing in the data.
    moving = [row for row, value in zip(blind, project(blind, target), strict=True) if value]
    direction = min(moving, key=lambda row: sum(map(bool, row[1:])))
    involved = _listed([n for n, e in zip(names, direction[1:], strict=True) if e])
    # With all actions set no bias is left: what still moves is the common level.
    tied = "from the level of the outcome" if sum(direction) else "apart"
    return f"the regimes in the data do not tell the biases of {involved} {tied}"


def _combination(weights: Mapping[str, Fraction]) -> str:
    """Regimes with their weights, ``do(red) + do(green) - observational``; added ones first."""
    ordered = sorted(weights.items(), key=lambda item: item[1] < 0)
    terms = [
        f"{'-' if weight < 0 else '+'} {'' if abs(weight) == 1 else f'{abs(weight)} '}{label}"
        for label, weight in ordered
    ]
    return " ".join(terms).removeprefix("+ ")


def _spelled(value: Label) -> str:
    return str(value) if isinstance(value, str | bool) else format_number(value)


def _phrase(experiment: Experiment) -> str:
    return regime_label(experiment) if experiment else "observational rows"


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _was(names: list[str]) -> str:
    return "was" if len(names) == 1 else "were"
