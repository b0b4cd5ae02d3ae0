"""Difference of units of a population from the average, in one term of the mean."""

from typing import NamedTuple

from bayes_intgen._typing import Array
from bayes_intgen.models.gates import Gate


class UnitPart(NamedTuple):
    """Difference of a unit per draw from the average, in one term.

    Attributes
    ----------
    action : int or None
        Action on which it depends.
    gate : Gate
    functions : ndarray, shape (n, m)
    coefficients : ndarray, shape (chain, draw, m)
    """

    action: int | None
    gate: Gate
    functions: Array
    coefficients: Array
