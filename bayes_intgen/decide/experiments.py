"""A planned experiment in the user's words: actions that are set, values, rows and a cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayes_intgen._arguments import items, mapping, real_number, row_count
from bayes_intgen.basis.categories import Label
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.labels import regime_label


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
        Cost of the experiment, in the outcome's units.

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
        cost = real_number(self.cost, "the cost of an experiment")
        if cost < 0:
            raise ModelError(
                f"the cost of an experiment is negative, {cost:g}; costs must be at least 0"
            )
        object.__setattr__(self, "actions", names)
        object.__setattr__(self, "rows", row_count(self.rows))
        object.__setattr__(self, "cost", cost)
        object.__setattr__(self, "at", _checked_values(self.at, names))

    @property
    def names(self) -> tuple[str, ...]:
        """Actions that are set."""
        assert isinstance(self.actions, tuple)
        return self.actions

    @property
    def label(self) -> str:
        """Label of the regime, with the values of actions for which they are given."""
        values: Mapping[str, tuple[Label, ...]] = self.at
        return regime_label(
            [
                f"{name}={'|'.join(map(str, values[name]))}" if name in values else name
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
    alone = [(name,) for name in names]
    return [*alone, tuple(names), ()] if len(names) > 1 else [*alone, ()]


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
        several = isinstance(own, Sequence) and not isinstance(own, str)
        values[name] = items(own, f"at[{name!r}]", "values") if several else (own,)
        if not values[name]:
            raise ModelError(f"at has no values of {name!r}; leave it out, or give one or more")
    return values
