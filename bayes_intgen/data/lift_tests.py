"""Lift tests: experiments on one action that are known by their summary only."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._arguments import real_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, Label, spelled_label
from bayes_intgen.errors import DataError
from bayes_intgen.text.formats import format_number, shorter_number

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
                    f"{name} is {format_number(value)}, and action {self.action!r} is between "
                    f"{format_number(values.min())} and {format_number(values.max())} in the "
                    "rows; a fit does not extrapolate"
                )
        if self.x_from == self.x_to:
            raise DataError(f"x_from and x_to are both {format_number(self.x_to)} and must differ")
        minimum = MIN_SE * outcome_sd
        if not self.se > minimum:
            raise DataError(
                f"se must be positive and above {shorter_number(minimum, 1)}, not "
                f"{format_number(self.se)}"
            )

    def in_words(self, levels: Categories | None) -> str:
        """Describe the test in one line, with levels by name."""
        ends = np.array([self.x_from, self.x_to])
        start, end = map(spelled_label, (levels.decode(ends) if levels else ends).tolist())
        effect = ("+" if self.effect >= 0 else "") + format_number(self.effect)
        se = format_number(self.se)
        return f"lift test of {self.action}: {effect} (se {se}) from {start} to {end}"
