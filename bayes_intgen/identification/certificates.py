"""Certificates of identification: weights of the regimes, or the experiments that are missing.

The rank test of :mod:`bayes_intgen.identification.regimes` decides whether a target is identified,
at values of the actions that the regimes share (:mod:`bayes_intgen.identification.overlap` tests
single points). The test is sharp for every graph over the actions, which is why no function here
takes a graph. See docs/explanation/method.md for the proof.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from math import comb
from operator import and_
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._arguments import items
from bayes_intgen.basis.categories import Categories, Label
from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import (
    Mask,
    Vector,
    combined_regimes,
    mask_label,
    null_space_of_regimes,
    project,
    regime_label,
    regime_weights,
)
from bayes_intgen.identification.strata import Strata, rests_on
from bayes_intgen.text.formats import format_value, frame_along
from bayes_intgen.text.messages import in_words, quoted, refuse_unknown_actions

if TYPE_CHECKING:
    import pandas as pd

Experiment = tuple[str, ...]
State = Literal["set alone", "only together", "never set"]
# Maximum number of distinct values that experiments identify as single values, not as a range.
# Number of rows whose values are looked at first.
FIRST_ROWS = 20_000
MAX_SETTINGS = 3
# Maximum number of sets returned.
MAX_SETS = 20
# Maximum number of sets of one size tried before the search settles for one irreducible set.
MAX_SETS_TRIED = 5000


@dataclass(frozen=True, repr=False)
class Certificate:
    """Proof that the regimes in the data identify a target, or a list of missing experiments.

    Returned by :meth:`Rows.identify`. The target is the mean outcome with the actions in
    ``target`` set and the others observed, at values of the actions that every regime with a
    weight reaches. The test is sharp, whatever the graph; docs/explanation/method.md has the proof.

    Attributes
    ----------
    target : tuple of str
        The actions that are set, in the order of the data; empty for the observational regime.
    identified : bool
        Whether the regimes in the data determine the mean under the target.
    weights : mapping of str to Fraction
        Nonzero weights by label of the regime: the mean under the target is this combination
        of the regimes' means at the same actions. Empty if the target is not identified; the
        target alone if it is among the data.
    missing : tuple of tuples of tuples of str
        Up to 20 sets of further experiments that would identify the target, each experiment as
        the tuple of actions that it sets. Contains every single experiment that suffices (one
        action set, observational rows, or the target itself). If no experiment on one action
        suffices, also the smallest sets of such experiments; if there are over 5,000
        sets of one size to try (never with up to 13 actions), one irreducible set instead.
    states : mapping of str to str
        Per action ``"set alone"`` (some regime sets this action only),
        ``"only together"`` (set together with others only) or ``"never set"``.
    rows : mapping of str to int
        Number of rows per regime, by label.
    regimes : mapping of str to tuple of str
        Actions that each regime in the data sets, by label.
    reason : str
        Reason why the target is not identified; empty if it is.
    only_at : mapping of str to tuple of str, bool or float
        Actions of the target whose experiments have few values, with these values, levels by
        name: the certificate holds at these values only. Empty if the values are unknown.
    level_rests_on : mapping of str to str
        Covariates and groupings at whose values too few regimes have rows together, each with the
        reason in words. The mean over the observational rows then rests on the trend, say, whereas
        changes between plans do not. Empty if the regimes determine it.
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
    level_rests_on: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(
            [
                self.verdict,
                *(f"{reason[0].upper()}{reason[1:]}." for reason in self.level_rests_on.values()),
            ]
        )

    @property
    def verdict(self) -> str:
        """The text without the reasons why the level rests on more than regimes."""
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
        """Clause on the values at which the certificate holds, if experiments have few values."""
        if not self.only_at:
            return ""
        places = [
            f"{name} = {' or '.join(map(format_value, values))}"
            for name, values in self.only_at.items()
        ]
        return f"; at {in_words(places)} only"

    def _remedy(self) -> str:
        """Sentences on the missing experiments."""
        single = [_phrase(s[0]) for s in self.missing if len(s) == 1 and s[0] != self.target]
        shown = single[:3] + [f"one of {len(single) - 3} others"] * (len(single) > 3)
        itself = f"{regime_label(self.target)} itself" if self.target else _phrase(())
        ways = f"{', '.join(shown)}, or {itself}" if shown else itself
        sentence = f"One more experiment would do: {ways}."
        sets = [s for s in self.missing if len(s) > 1]
        if not sets:
            return sentence
        example = "for example " if len(sets) > 1 else ""
        needed = in_words([_phrase(experiment) for experiment in sets[0]])
        return f"{sentence} With one action set at a time it takes {example}{needed}."

    def to_dataframe(self) -> "pd.DataFrame":
        """Table with a row per regime: its weight and number of rows.

        Examples
        --------
        >>> [*data.identify(["red", "green"]).to_dataframe()]
        ['regime', 'weights', 'rows']
        """
        return frame_along(self.to_dataset(), "regime")

    def to_dataset(self) -> xr.Dataset:
        """Convert to labelled arrays.

        Returns
        -------
        Dataset
            ``weights`` (regime): float, NaN if the target is not identified; ``rows``
            (regime): int; ``intervened`` (regime, action): bool; ``state`` (action): str. The
            attributes are the target's label and the text of the certificate.

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
                    [
                        [name in actions for name in self.states]
                        for actions in self.regimes.values()
                    ],
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
    """Find actions whose experiments have few values, although the action takes others.

    Parameters
    ----------
    names : sequence of str, length K
    actions : ndarray, shape (n, K)
    intervened : ndarray of bool, shape (n, K)
    categories : sequence of Categories or None, length K

    Returns
    -------
    dict of str to tuple of str, bool or float
        Per action with at most three distinct values in experiments, and a further value
        elsewhere: the values in experiments, levels by name.

    Examples
    --------
    >>> actions, intervened = np.array([[0.2], [0.7], [1.0]]), np.array([[0], [0], [1]]) > 0
    >>> settings_of(["red"], actions, intervened, [None])
    {'red': (1.0,)}
    """
    few = {}
    for k, (name, levels) in enumerate(zip(names, categories, strict=True)):
        # Most experiments have many values among the first rows.
        for rows in (slice(FIRST_ROWS), slice(None)):
            column, was_set = actions[rows, k], intervened[rows, k]
            values = np.unique(column[was_set])
            if len(values) > MAX_SETTINGS:
                break
        if 0 < len(values) <= MAX_SETTINGS and not np.isin(column[~was_set], values).all():
            few[name] = tuple((values if levels is None else levels.decode(values)).tolist())
    return few


def certify(
    names: Sequence[str],
    regimes: Mapping[Mask, int],
    actions: Sequence[str],
    settings: Mapping[str, tuple[Label, ...]] | None = None,
    strata: Sequence[Strata] = (),
) -> Certificate:
    """Issue the certificate for setting some actions.

    Parameters
    ----------
    names : sequence of str, length K
        All actions.
    regimes : mapping of tuple of bool to int
        The masks in the data, at least one, each with its number of rows.
    actions : sequence of str
        The actions of the target; none for the observational regime.
    settings : mapping of str to tuple of str, bool or float, optional
        Experimental values of actions that have few of them, from :func:`settings_of`.
    strata : sequence of Strata
        Those of covariates and groups.

    Raises
    ------
    DataError
        If ``actions`` is a string, or contains an unknown or repeated name.

    Examples
    --------
    >>> certify(["red", "green"], {(False, False): 90, (True, False): 10}, ["red", "green"])
    do(red, green) is not identified: green was never set. One more experiment would do: \
do(green), or do(red, green) itself.
    """
    return certificates(names, regimes, [actions], settings, strata)[0]


def certificates(
    names: Sequence[str],
    regimes: Mapping[Mask, int],
    targets: Sequence[Sequence[str]],
    settings: Mapping[str, tuple[Label, ...]] | None = None,
    strata: Sequence[Strata] = (),
) -> list[Certificate]:
    """Issue the certificates for several targets, as :func:`certify` does for each.

    Examples
    --------
    >>> masks = {(False, False): 90, (True, False): 10}
    >>> [each.identified for each in certificates(["red", "green"], masks, [["red"], ["green"]])]
    [True, False]
    """
    masks = [_target_mask(names, actions) for actions in targets]
    positions, basis = null_space_of_regimes(list(regimes), len(names))
    independent = [list(regimes)[i] for i in positions]
    gains = gains_of_experiments(basis, len(names))

    def actions_set(mask: Mask) -> Experiment:
        return tuple(name for name, was_set in zip(names, mask, strict=True) if was_set)

    sizes = np.array(list(regimes)).sum(axis=1)
    was_set = np.array(list(regimes)).T
    states = {name: _state(sizes[own]) for name, own in zip(names, was_set, strict=True)}
    shares = was_set.mean(axis=1).tolist()
    rows = {mask_label(names, mask): count for mask, count in regimes.items()}
    actions_by_label = {mask_label(names, mask): actions_set(mask) for mask in regimes}

    def certificate(target: Mask) -> Certificate:
        changes = project(basis, target)
        combined = [target] if target in regimes else independent  # its own rows suffice
        weights = combined_regimes(combined, target)
        missing = () if weights else missing_experiments(independent, gains, changes, target)
        few = settings if settings and weights else {}
        return Certificate(
            target=actions_set(target),
            identified=bool(weights),
            weights={mask_label(names, mask): weight for mask, weight in weights.items()},
            missing=tuple(tuple(actions_set(mask) for mask in masks) for masks in missing),
            states=states,
            rows=rows,
            regimes=actions_by_label,
            reason="" if weights else _reason(names, shares, basis, changes, target),
            only_at={name: few[name] for name in actions_set(target) if name in few},
            level_rests_on=rests_on(names, strata, target),
        )

    return [certificate(target) for target in masks]


def _target_mask(names: Sequence[str], actions: Sequence[str]) -> Mask:
    actions = items(actions, "actions", "names", DataError)
    refuse_unknown_actions(actions, names, DataError)
    repeated = [name for name in names if list(actions).count(name) > 1]
    if repeated:
        raise DataError(f"action {quoted(repeated)} is named twice; name each action once")
    return tuple(name in actions for name in names)


def _state(sizes: NDArray[np.int_]) -> State:
    """State of an action, from the number of actions that each regime with it sets."""
    if not len(sizes):
        return "never set"
    return "set alone" if sizes.min() == 1 else "only together"


def _reason(
    names: Sequence[str],
    shares: Sequence[float],
    basis: list[Vector],
    changes: Vector,
    target: Mask,
) -> str:
    """Reason why the target is not identified; each clause alone suffices.

    ``shares`` are those of the regimes that set each action, ``changes`` the changes of the mean
    along the null directions.
    """
    never = [n for k, n in enumerate(names) if target[k] and shares[k] == 0]
    always = [n for k, n in enumerate(names) if not target[k] and shares[k] == 1]
    clauses = [f"{in_words(never)} {_was(never)} never set"] if never else []
    if always:
        clauses.append(f"{in_words(always)} {_was(always)} set in every regime")
    if clauses:
        return ", and ".join(clauses)
    # The null direction with the fewest actions that changes the mean under the target.
    changing = [row for row, value in zip(basis, changes, strict=True) if value]
    direction = min(changing, key=lambda row: sum(map(bool, row[1:])))
    involved = in_words([n for n, e in zip(names, direction[1:], strict=True) if e])
    # With all actions set no bias is left, so a change there is a change of the common level.
    level = " from the level of the outcome" if sum(direction) else ""
    return f"the regimes in the data do not separate the biases of {involved}{level}"


def _combination(weights: Mapping[str, Fraction]) -> str:
    """Weighted sum as text, positive weights first: ``do(red) + do(green) - observational``."""
    ordered = sorted(weights.items(), key=lambda item: item[1] < 0)
    terms = [
        f"{'-' if weight < 0 else '+'} {'' if abs(weight) == 1 else f'{abs(weight)} '}{label}"
        for label, weight in ordered
    ]
    return " ".join(terms).removeprefix("+ ")


def _phrase(experiment: Experiment) -> str:
    return regime_label(experiment) if experiment else "observational rows"


def _was(names: list[str]) -> str:
    return "was" if len(names) == 1 else "were"


def missing_experiments(
    independent: list[Mask], gains: Mapping[Mask, Vector], wanted: Vector, target: Mask
) -> tuple[tuple[Mask, ...], ...]:
    """Find sets of experiments that would identify a target that is not identified.

    Parameters
    ----------
    independent : list of mask
        Regimes that span those in the data.
    gains : mapping from mask to list of int
        From :func:`gains_of_experiments`.
    wanted : list of int
        Projection of the target on the null space of the regimes.
    target : mask
    """
    # The actions of the target first, and observational rows after single actions.
    ordered = sorted(gains, key=lambda mask: not any(map(and_, mask, target)) + (not any(mask)))
    simple = _smallest({mask: gains[mask] for mask in ordered}, wanted, independent, target)
    if len(simple[0]) > 1:
        return ((target,), *simple)[:MAX_SETS]
    others = [group for group in simple if group != (target,)]
    return (*others[: MAX_SETS - 1], (target,))


def gains_of_experiments(basis: list[Vector], count: int) -> dict[Mask, Vector]:
    """Projections on the null space of the regimes, which are experiments modulo the data.

    Of experiments on one action and of observational rows, unless the data determine them.
    """
    single = [tuple(j == k for j in range(count)) for k in range(count)]
    gains = {mask: project(basis, mask) for mask in (*single, (False,) * count)}
    return {mask: gain for mask, gain in gains.items() if any(gain)}


def _smallest(
    gains: Mapping[Mask, Vector], wanted: Vector, independent: list[Mask], target: Mask
) -> list[tuple[Mask, ...]]:
    """Find the smallest sets of experiments that span the target together with the data."""
    if alone := list(islice(_spanning([*gains.items()], wanted, 1), MAX_SETS)):
        return alone
    weights = regime_weights([*independent, *gains], target)
    assert weights is not None  # single experiments and observational rows span everything
    new = weights[len(independent) :]
    # The experiments with a weight are independent given the data, so each of them is needed.
    # If all candidates are independent, no other set identifies the target.
    needed = tuple(mask for mask, weight in zip(gains, new, strict=True) if weight)
    if len(gains) == len(wanted):
        return [needed]
    for size in range(2, len(needed) + 1):
        if comb(len(gains), size) > MAX_SETS_TRIED:
            break
        sets = list(islice(_spanning([*gains.items()], wanted, size), MAX_SETS))
        if sets:
            return sets
    return [needed]


def _spanning(
    gains: list[tuple[Mask, Vector]], wanted: Vector, size: int
) -> Iterator[tuple[Mask, ...]]:
    """Yield sets of ``size`` experiments whose gains span ``wanted``, if no smaller set does."""
    for i, (mask, gain) in enumerate(gains):
        pivot = next((p for p, value in enumerate(gain) if value), None)
        if pivot is None:
            continue
        rest = _cleared(wanted, gain, pivot)
        if size == 1:
            if not any(rest):
                yield (mask,)
            continue
        later = [(other, _cleared(row, gain, pivot)) for other, row in gains[i + 1 :]]
        yield from ((mask, *others) for others in _spanning(later, rest, size - 1))


def _cleared(row: Vector, gain: Vector, pivot: int) -> Vector:
    """Subtract a multiple of ``gain`` from a multiple of ``row``, so that the pivot is zero."""
    if row[pivot] == 0:
        return row
    return [gain[pivot] * x - row[pivot] * y for x, y in zip(row, gain, strict=True)]
