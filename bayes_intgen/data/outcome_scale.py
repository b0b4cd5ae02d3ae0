"""Scale on which a model adds up the outcome: its own (identity link), or its logarithm (log link).

Every pass over rows sees the outcome on the scale of the link, so that whatever a model of sums
does with rows serves outcomes that multiply too.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import numpy as np

from bayes_intgen._arguments import MAX_MAGNITUDE
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.lift_tests import LiftTest
from bayes_intgen.data.outcome_kind import OutcomeKind
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import DataError, ModelError
from bayes_intgen.identification.masks import Mask

Link = Literal["identity", "log"]


def on_scale(data: Rows, link: Link) -> Rows:
    """Rows with their outcome on the scale of a link.

    Raises
    ------
    DataError
        If the logarithm of an outcome does not exist.
    ModelError
        If rows are means of several units, or there are lift tests, under a log link.

    Examples
    --------
    >>> on_scale(data, "identity") is data
    True
    """
    if link == "identity":
        return data
    if data.lift_tests:
        raise ModelError(
            "lift tests state changes of the outcome, not of its logarithm; fit models.additive(), "
            "or omit the lift tests"
        )
    return with_log_outcome(data) if isinstance(data, Observations) else LogOutcomes(data)


def with_log_outcome(rows: Observations, numbered: bool = True) -> Observations:
    """Rows in memory with the logarithm of their outcome.

    ``numbered``: whether positions of the rows mean anything to users, for error messages.

    Examples
    --------
    >>> rows = data.take(data.outcome > 0)
    >>> bool(np.allclose(np.exp(with_log_outcome(rows).outcome), rows.outcome))
    True
    """
    if rows.weights is not None and (rows.weights != 1).any():
        raise ModelError(
            "rows are means of several units (weights), and the logarithm of a mean is not the "
            "mean of logarithms; use one row per unit, or models.additive()"
        )
    # Smaller ones are zeros that something has computed.
    refused = np.flatnonzero(~(rows.outcome >= 1 / MAX_MAGNITUDE))
    if refused.size:
        first = refused[0]
        place = f"row {first}" if numbered else "a row"
        raise DataError(
            f"models.multiplicative() needs positive outcomes, of at least {1 / MAX_MAGNITUDE:g}: "
            f"{rows.outcome_name!r} is {rows.outcome[first]:g} in {place} "
            f"({rows.label(rows.intervened[first])}), and below that in {refused.size} of "
            f"{len(rows)} rows; drop these rows, model zeros apart (as a 0/1 outcome), or use "
            "models.additive()"
        )
    return replace(rows, outcome=np.log(rows.outcome), weights=None, within=None)


class LogOutcomes(Rows):
    """Rows out of memory with the logarithm of their outcome."""

    def __init__(self, source: Rows) -> None:
        self._source = source
        self.names, self.outcome_name = source.names, source.outcome_name
        self.lift_tests, self.columns = source.lift_tests, source.columns
        self.dropped = source.dropped
        self._in_memory = with_log_outcome(source.in_memory, numbered=False)

    @property
    def regimes(self) -> dict[Mask, int]:
        """Number of rows per mask, fewest interventions first."""
        return self._source.regimes

    @property
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for actions without levels."""
        return self._source.categories

    @property
    def outcome_kind(self) -> OutcomeKind:
        """Kind of logarithms."""
        return "continuous"

    @property
    def in_memory(self) -> Observations:
        """Sample of every regime."""
        return self._in_memory

    def sample(self, rows: int) -> Observations:
        """Sample the rows that the source samples."""
        return with_log_outcome(self._source.sample(rows), numbered=False)

    def split(self, rows: int) -> tuple[Observations, Observations | None]:
        """Sample rows; the others are not in memory."""
        return self.sample(rows), None

    def batches(self, rows: int) -> Iterator[Observations]:
        """Yield all rows in consecutive batches."""
        return (with_log_outcome(own, numbered=False) for own in self._source.batches(rows))

    def map_reduce[T](
        self,
        function: Callable[[Observations], T],
        combine: Callable[[T, T], T],
        label: str,
        progress: bool,
    ) -> T:
        """Run :meth:`Rows.map_reduce` of the source."""
        of_logs: Callable[[Observations], T] = partial(_of_logs, function)
        return self._source.map_reduce(of_logs, combine, label, progress)

    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self:
        raise ModelError("lift tests are not of logarithms")

    def __len__(self) -> int:
        return len(self._source)


def _of_logs(function: Callable[[Observations], Any], batch: Observations) -> Any:
    """Apply a function to a batch with the logarithm of its outcome."""
    return function(with_log_outcome(batch, numbered=False))
