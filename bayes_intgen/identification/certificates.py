"""Certificates of identification: weights of the regimes, or the experiments that are missing.

The rank test of :mod:`bayes_intgen.identification.regimes` decides whether a target is identified,
at values of the actions that the regimes share (:mod:`bayes_intgen.identification.overlap` tests
single points). The test is sharp for every graph over the actions, which is why no function here
takes a graph. See docs/explanation/method.md for the proof.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, islice
from math import comb
from operator import and_
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._arguments import items
from bayes_intgen.basis.categories import Categories, Label
from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import (
    Mask,
    Vector,
    combined_regimes,
    mask_label,
    null_space,
    null_space_of_regimes,
    project,
    regime_label,
)
from bayes_intgen.identification.strata import Strata, rests_on
from bayes_intgen.text.formats import format_value
from bayes_intgen.text.messages import in_words, quoted, refuse_unknown_actions, some_of

if TYPE_CHECKING:
    import pandas as pd

Experiment = tuple[str, ...]
State = Literal["set alone", "only together", "never set"]
# Number of rows whose values are looked at first.
FIRST_ROWS = 20_000
# Maximum number of distinct values that experiments identify as single values, not as a range.
MAX_SETTINGS = 3
# Maximum number of sets returned.
MAX_SETS = 20
# Maximum number of sets of one size tried before the search settles for one irreducible set.
MAX_SETS_TRIED = 1000


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
    other_weights : mapping of str to Fraction
        Nonzero weights of other regimes that identify a target among the data, too, at values that
        its own rows lack. Empty if there are none.
    missing : tuple of tuples of tuples of str
        Up to 20 sets of further experiments that would identify the target, each experiment as
        the tuple of actions that it sets. Contains every single experiment that suffices (one
        action set, observational rows, or the target itself). If no experiment on one action
        suffices, also the smallest sets of such experiments; if there are over 1,000
        sets of one size to try (never with up to 11 actions), one irreducible set instead.
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
    other_weights: Mapping[str, Fraction]
    missing: tuple[tuple[Experiment, ...], ...]
    states: Mapping[str, State]
    rows: Mapping[str, int]
    regimes: Mapping[str, Experiment]
    reason: str
    only_at: Mapping[str, tuple[Label, ...]] = field(default_factory=dict)
    level_rests_on: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        reasons = [f"{own[0].upper()}{own[1:]}." for own in self.level_rests_on.values()]
        return " ".join([self.verdict, *reasons])

    @property
    def verdict(self) -> str:
        """The text without the reasons why the level rests on more than regimes."""
        label = regime_label(self.target)
        if not self.identified:
            return f"{label} is not identified: {self.reason}. {self._remedy()}"
        how = _combination(self.weights)
        if label in self.rows:
            how = f"it is in the data, with {self.rows[label]} rows"
            if self.other_weights:
                how += f"; where these lack values, {_combination(self.other_weights)}"
        return f"{label} is identified: {how}{self._where()}."

    __repr__ = __str__

    def _where(self) -> str:
        """Clause on the values at which the certificate holds, if experiments have few values."""
        places = [
            f"{name} = {' or '.join(map(format_value, values))}"
            for name, values in self.only_at.items()
        ]
        return f"; at {in_words(places)} only" if places else ""

    def _remedy(self) -> str:
        """Sentences on the missing experiments."""
        single = [_phrase(s[0]) for s in self.missing if len(s) == 1 and s[0] != self.target]
        itself = f"{regime_label(self.target)} itself" if self.target else _phrase(())
        ways = [*some_of(single, 3, "one of {} others"), f"or {itself}" if single else itself]
        sentence = f"One more experiment would do: {', '.join(ways)}."
        sets = [s for s in self.missing if len(s) > 1]
        if not sets:
            return sentence
        example = "for example " if len(sets) > 1 else ""
        needed = in_words([*map(_phrase, sets[0])])
        return f"{sentence} With one action set at a time it takes {example}{needed}."

    def to_dataframe(self) -> "pd.DataFrame":
        """Table with a row per regime: its weight, missing where nothing is identified, and rows.

        Examples
        --------
        >>> data.identify(["red", "green"]).to_dataframe()["weights"].tolist()
        [-1.0, 1.0, 1.0]
        """
        import pandas as pd

        nothing = 0.0 if self.identified else np.nan
        weights = [float(self.weights.get(label, nothing)) for label in self.regimes]
        rows = [self.rows[label] for label in self.regimes]
        return pd.DataFrame({"regime": [*self.regimes], "weights": weights, "rows": rows})


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
    observed = list(regimes)
    positions, basis = null_space_of_regimes(observed, len(names))
    independent = [observed[i] for i in positions]
    # Others that span what all others span, so that relations are between few regimes.
    rest = [own for own in observed if own not in independent]
    rest = [rest[i] for i in null_space_of_regimes(rest, len(names))[0]]
    related = [*independent, *rest]
    _, relations = null_space([[True] * len(related), *zip(*related, strict=True)], len(related))

    def actions_set(mask: Mask) -> Experiment:
        return tuple(name for name, was_set in zip(names, mask, strict=True) if was_set)

    was_set = np.array(list(regimes))
    shares, sizes = was_set.mean(axis=0).tolist(), was_set.sum(axis=1)
    states = {name: _state(sizes[own]) for name, own in zip(names, was_set.T, strict=True)}
    rows = {mask_label(names, mask): count for mask, count in regimes.items()}
    actions_by_label = {mask_label(names, mask): actions_set(mask) for mask in regimes}

    def labelled(weights: Mapping[Mask, Fraction]) -> dict[str, Fraction]:
        return {mask_label(names, mask): weight for mask, weight in weights.items() if weight}

    def by_others(target: Mask) -> Mapping[Mask, Fraction]:
        if target not in independent:
            return combined_regimes(independent, target)
        at = related.index(target)
        relation = next((own for own in relations if own[at]), ())
        shares = zip(related, relation, strict=False)
        return {mask: Fraction(-x, relation[at]) for mask, x in shares if mask != target}

    def certificate(target: Mask) -> Certificate:
        combined = [target] if target in regimes else independent  # its own rows suffice
        weights = combined_regimes(combined, target)
        others = by_others(target) if target in regimes else {}
        missing = () if weights else missing_experiments(basis, target)
        few = settings if settings and weights else {}
        return Certificate(
            target=actions_set(target),
            identified=bool(weights),
            weights=labelled(weights),
            other_weights=labelled(others),
            missing=tuple(tuple(actions_set(mask) for mask in masks) for masks in missing),
            states=states,
            rows=rows,
            regimes=actions_by_label,
            reason="" if weights else _reason(names, shares, basis, target),
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
    names: Sequence[str], shares: Sequence[float], basis: list[Vector], target: Mask
) -> str:
    """Reason why the target is not identified; each clause alone suffices.

    ``shares`` are those of the regimes that set each action.
    """
    never = [n for k, n in enumerate(names) if target[k] and shares[k] == 0]
    always = [n for k, n in enumerate(names) if not target[k] and shares[k] == 1]
    clauses = [
        f"{in_words(own)} {'was' if len(own) == 1 else 'were'} {how}"
        for own, how in ((never, "never set"), (always, "set in every regime"))
        if own
    ]
    if clauses:
        return ", and ".join(clauses)
    # The null direction with the fewest actions that changes the mean under the target.
    changing = [row for row, change in zip(basis, project(basis, target), strict=True) if change]
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


def missing_experiments(basis: list[Vector], target: Mask) -> tuple[tuple[Mask, ...], ...]:
    """Find sets of experiments that would identify a target that is not identified.

    ``basis`` is that of the null space of the regimes, on which experiments are projected: what
    the regimes determine is zero there.
    """
    count, wanted = len(target), project(basis, target)
    single = [tuple(j == k for j in range(count)) for k in range(count)]
    # The actions of the target first, and observational rows after single actions.
    single.sort(key=lambda mask: not any(map(and_, mask, target)))
    every = *single, (False,) * count
    gains = {mask: gain for mask in every if any(gain := project(basis, mask))}

    def suffice(masks: Sequence[Mask]) -> bool:
        independent, _ = null_space([*(gains[mask] for mask in masks), wanted], len(wanted))
        return len(masks) not in independent

    needed = [*gains]
    for mask in reversed(gains):
        fewer = [own for own in needed if own != mask]
        needed = fewer if suffice(fewer) else needed
    found = [tuple(needed)]
    # If all candidates are independent, no other set identifies the target.
    sizes = range(1, len(needed) + 1) if len(gains) > len(wanted) else ()
    for size in sizes:
        if comb(len(gains), size) > MAX_SETS_TRIED:
            break
        if sets := [*islice(filter(suffice, combinations(gains, size)), MAX_SETS)]:
            found = sets
            break
    if len(found[0]) > 1:
        return ((target,), *found)[:MAX_SETS]
    others = [group for group in found if group != (target,)]
    return (*others[: MAX_SETS - 1], (target,))
