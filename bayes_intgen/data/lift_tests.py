"""Lift tests: experiments on one action of which only the summary is known."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, Label, spelled_label
from bayes_intgen.errors import DataError

# Smallest standard error, in standard deviations of the outcome: less would be a row without
# noise.
MIN_SE = 1e-6


@dataclass(frozen=True)
class LiftTest:
    """Change of the mean outcome as one action alone is set from one value to another.

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
        """Build from numbers or names of levels; raises DataError where they are neither."""
        if levels is not None:
            x_from, x_to = levels.encode([x_from, x_to], action, between=True).tolist()
        numbers = {"x_from": x_from, "x_to": x_to, "effect": effect, "se": se}
        try:
            test = cls(action, **{name: float(value) for name, value in numbers.items()})
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"x_from, x_to, effect and se must be numbers ({error})") from error
        for name in numbers:
            if not np.isfinite(getattr(test, name)):
                raise DataError(f"{name} must be finite, not {getattr(test, name)}")
        return test

    def check(self, values: Array, outcome_sd: float) -> None:
        """Raise DataError where the rows' values of the action and their outcome rule it out."""
        for name, value in (("x_from", self.x_from), ("x_to", self.x_to)):
            if not values.min() <= value <= values.max():
                raise DataError(
                    f"{name} is {value:g}, and action {self.action!r} is between "
                    f"{values.min():g} and {values.max():g} in the rows; a fit says nothing of it "
                    "beyond"
                )
        if self.x_from == self.x_to:
            raise DataError(f"x_from and x_to are both {self.x_to:g}: no effect to speak of")
        least = MIN_SE * outcome_sd
        if not self.se > least:
            raise DataError(f"se must be positive and above {least:.1g}, not {self.se:g}")

    def in_words(self, levels: Categories | None) -> str:
        """The test in a line, with its levels by their names."""
        ends = np.array([self.x_from, self.x_to])
        start, end = map(spelled_label, (levels.decode(ends) if levels else ends).tolist())
        return (
            f"lift test of {self.action}: {self.effect:+g} (se {self.se:g}) from {start} to {end}"
        )
