"""Lift tests: experiments on one action of which only the summary is known."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bayes_intgen.categories import Label
from bayes_intgen.errors import DataError

if TYPE_CHECKING:
    from bayes_intgen.regimes import RegimeData

# In outcome standard deviations: less would be a row without noise.
LEAST_SE = 1e-6


@dataclass(frozen=True)
class LiftTest:
    """By how much the mean outcome changes as one action alone is set from one value to another.

    Attributes
    ----------
    action : str
    x_from, x_to : float
        In the action's units; codes of levels.
    effect, se : float
        The change and its standard error, in the outcome's units.
    """

    action: str
    x_from: float
    x_to: float
    effect: float
    se: float


class TakesLiftTests(ABC):
    """Rows beside which lift tests stand.

    Attributes
    ----------
    lift_tests : tuple of LiftTest
    """

    names: tuple[str, ...]
    lift_tests: tuple[LiftTest, ...]

    @property
    @abstractmethod
    def held(self) -> "RegimeData":
        """The rows in memory."""

    @abstractmethod
    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self:
        """The same rows beside other lift tests."""

    def add_lift_test(
        self, action: str, x_from: Label, x_to: Label, effect: float, se: float
    ) -> Self:
        """The same data and an experiment of which only the summary is known.

        Fits take it as one Gaussian observation of phi_k(x_to) - phi_k(x_from), with the given
        standard error in place of the rows' noise: phi_k(a_k) = E[f_k(a_k, C_k)] is what action
        k alone contributes when it is set, and in the additive model that difference is the
        effect of the experiment on every unit's mean, whatever the other actions are.

        It is so only while the other actions stay as they are. Two experiments give it:

        - nothing responds to action k: no other action depends on it, directly or through
          others. Then the others may fall as they do, E[Y | do(a_k = x_to)] -
          E[Y | do(a_k = x_from)] leaves their contributions out, and its estimate is ``effect``;
        - others would respond, but are held from outside, at any values or at those that they
          would have had: the direct effect.

        Where others respond freely, that difference is a total effect: it holds what they pass
        on, E[f_j(A_j(x_to), C_j)] - E[f_j(A_j(x_from), C_j)] for every action j that responds,
        and is not what is meant here. Nor does it help to compare units in which a responding
        action took equal values, or to adjust for it in a regression: among these its hidden
        cause C_j differs with a_k, so that part of the bias delta_j is mixed in.

        The experiment must be of the population that the rows come from (the same law of C_k),
        its units none of the rows, and its error, from all its causes, about normal. Several
        tests count as independent of each other. A test of one action says how its effect
        *changes* between two values; which level the outcome has when all are set only rows
        tell: :meth:`identify` does not count it.

        Parameters
        ----------
        action : str
        x_from, x_to : float, str or bool
            Within the range of the action in the rows, beyond which no mechanism is learned;
            levels by their names.
        effect : float
            Change of the mean outcome a row, in the outcome's units, from the one to the other.
        se : float
            Standard error of ``effect``.

        Returns
        -------
        RegimeData, StreamedData or DistributedData
            As this one is, which stays as it was.

        Raises
        ------
        DataError
            Where ``action`` is none, a number is not finite, the two values are equal or out of
            range, or ``se`` is not positive or below a millionth of the outcome's standard
            deviation.

        Examples
        --------
        >>> tested = data.add_lift_test("red", 0.0, 1.0, effect=0.8, se=0.1)
        >>> tested.lift_tests
        (LiftTest(action='red', x_from=0.0, x_to=1.0, effect=0.8, se=0.1),)
        """
        if action not in self.names:
            raise DataError(
                f"{action!r} is no action; the actions are {', '.join(map(repr, self.names))}"
            )
        k = self.names.index(action)
        levels = self.held.categories[k]
        if levels is not None:
            codes = levels.encode([x_from, x_to], action, between=True)
            x_from, x_to = codes.tolist()
        numbers = {"x_from": x_from, "x_to": x_to, "effect": effect, "se": se}
        try:
            test = LiftTest(action, **{name: float(value) for name, value in numbers.items()})
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"x_from, x_to, effect and se must be numbers ({error})") from error
        for name in numbers:
            if not np.isfinite(getattr(test, name)):
                raise DataError(f"{name} must be finite, not {getattr(test, name)}")
        return self._with_test(test)

    def _with_test(self, test: LiftTest) -> Self:
        """The same rows beside one more test, which is checked against them."""
        held = self.held
        values = held.actions[:, self.names.index(test.action)]
        for name, value in (("x_from", test.x_from), ("x_to", test.x_to)):
            if not values.min() <= value <= values.max():
                raise DataError(
                    f"{name} is {value:g}, and action {test.action!r} is between "
                    f"{values.min():g} and {values.max():g} in the rows; a fit says nothing of it "
                    "beyond"
                )
        if test.x_from == test.x_to:
            raise DataError(f"x_from and x_to are both {test.x_to:g}: no effect to speak of")
        least = LEAST_SE * float(held.outcome.std())
        if not test.se > least:
            raise DataError(f"se must be positive and above {least:.1g}, not {test.se:g}")
        return self._with_lift_tests((*self.lift_tests, test))
