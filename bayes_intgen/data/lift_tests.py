"""Lift tests: experiments on one action that are known by their summary only."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from bayes_intgen._arguments import real_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, Label, spelled_label
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import refuse_unknown_actions

# Minimum standard error, in standard deviations of the outcome. A smaller one acts like a row
# without noise.
MIN_SE = 1e-6


@dataclass(frozen=True)
class LiftTest:
    """Change of the mean outcome when one action alone is set from one value to another.

    Attributes
    ----------
    action : str
    x_from, x_to : float
        In the action's units; codes of levels.
    effect, se : float
        Change and standard error, in the outcome's units.
    """

    action: str
    x_from: float
    x_to: float
    effect: float
    se: float

    @classmethod
    def of(
        cls,
        action: str,
        x_from: Label,
        x_to: Label,
        effect: float,
        se: float,
        levels: Categories | None,
    ) -> Self:
        """Build a test from numbers or names of levels; raises DataError on anything else."""
        if levels is not None:
            x_from, x_to = levels.encode([x_from, x_to], action, between=True).tolist()
        numbers = {"x_from": x_from, "x_to": x_to, "effect": effect, "se": se}
        return cls(action, **{n: real_number(value, n, DataError) for n, value in numbers.items()})

    def check(self, values: Array, outcome_sd: float) -> None:
        """Raise DataError if the test contradicts the rows' values of the action and outcome."""
        for name, value in (("x_from", self.x_from), ("x_to", self.x_to)):
            if not values.min() <= value <= values.max():
                raise DataError(
                    f"{name} is {value:g}, and action {self.action!r} is between "
                    f"{values.min():g} and {values.max():g} in the rows; a fit does not extrapolate"
                )
        if self.x_from == self.x_to:
            raise DataError(f"x_from and x_to are both {self.x_to:g}; they must differ")
        minimum = MIN_SE * outcome_sd
        if not self.se > minimum:
            raise DataError(f"se must be positive and above {minimum:.1g}, not {self.se:g}")

    def in_words(self, levels: Categories | None) -> str:
        """Describe the test in one line, with levels by name."""
        ends = np.array([self.x_from, self.x_to])
        start, end = map(spelled_label, (levels.decode(ends) if levels else ends).tolist())
        return (
            f"lift test of {self.action}: {self.effect:+g} (se {self.se:g}) from {start} to {end}"
        )


class OutcomesOfActions(Protocol):
    """Rows in memory: actions, shape (N, K), and outcome, shape (N,)."""

    @property
    def actions(self) -> Array: ...
    @property
    def outcome(self) -> Array: ...


class LiftTestable(ABC):
    """Rows to which lift tests can be added.

    Attributes
    ----------
    names : tuple of str, length K
    lift_tests : tuple of LiftTest
    """

    names: tuple[str, ...]
    lift_tests: tuple[LiftTest, ...]

    @property
    @abstractmethod
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for actions without levels."""

    @property
    @abstractmethod
    def in_memory(self) -> OutcomesOfActions:
        """Rows in memory: all of them, or a sample of every regime."""

    @abstractmethod
    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self: ...

    def add_lift_test(
        self, action: str, x_from: Label, x_to: Label, effect: float, se: float
    ) -> Self:
        """Add an experiment that is known by its summary only.

        Fits treat it as one Gaussian observation of phi_k(x_to) - phi_k(x_from), the change of
        action k's own contribution: a direct effect, with the other actions unchanged or set
        from outside. See docs/lift-tests.md for total effects and for the required population.

        Parameters
        ----------
        action : str
        x_from, x_to : float, str or bool
            Values of the action, within its range in the rows; levels by name.
        effect : float
            Change of the mean outcome per row from ``x_from`` to ``x_to``, in the outcome's units.
        se : float
            Standard error of ``effect``.

        Returns
        -------
        RegimeData, StreamedData or DistributedData
            New data of the same class with the test added.

        Raises
        ------
        DataError
            If the action is unknown, a number is not finite, the two values are equal or out of
            range, or ``se`` is at most a millionth of the outcome's standard deviation.

        Examples
        --------
        >>> tested = data.add_lift_test("red", 0.0, 1.0, effect=0.8, se=0.1)
        >>> tested.lift_tests
        (LiftTest(action='red', x_from=0.0, x_to=1.0, effect=0.8, se=0.1),)
        """
        refuse_unknown_actions([action], self.names, DataError)
        k = self.names.index(action)
        return self._with_test(LiftTest.of(action, x_from, x_to, effect, se, self.categories[k]))

    def _with_test(self, test: LiftTest) -> Self:
        """Add a lift test, checked against the rows."""
        rows = self.in_memory
        test.check(rows.actions[:, self.names.index(test.action)], float(rows.outcome.std()))
        return self._with_lift_tests((*self.lift_tests, test))
