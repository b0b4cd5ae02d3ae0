"""Exact null spaces of integer equations, by fraction-free elimination."""

from collections.abc import Sequence
from math import gcd, sumprod

Vector = list[int]


def null_space(equations: Sequence[Sequence[int]], size: int) -> tuple[list[int], list[Vector]]:
    """Basis of the integer vectors at which linear equations vanish.

    The basis starts as the ``size`` unit vectors. Each equation that does not vanish on it uses up
    the first vector at which it does not, to clear the others.

    Returns
    -------
    independent : list of int
        Positions of the first equations that span all of them.
    basis : list of list of int
        Each vector has one entry that is zero in all others.

    Examples
    --------
    >>> null_space([[1, 1, 0], [2, 2, 0], [0, 1, 1]], 3)
    ([0, 2], [[1, -1, 1]])
    """
    basis = [[int(i == j) for j in range(size)] for i in range(size)]
    independent = []
    for position, equation in enumerate(equations):
        values = evaluate(basis, equation)
        used = next((i for i, value in enumerate(values) if value), None)
        if used is None:
            continue
        independent.append(position)
        # With one action set at a time few vectors change.
        basis = [
            _reduced([values[used] * x - value * y for x, y in zip(row, basis[used], strict=True)])
            if value
            else row
            for i, (row, value) in enumerate(zip(basis, values, strict=True))
            if i != used
        ]
    return independent, basis


def evaluate(basis: Sequence[Vector], equation: Sequence[int]) -> Vector:
    """Values of an equation at each vector of a basis."""
    present = [j for j, y in enumerate(equation) if y]
    if len(present) > len(equation) // 2:
        return [int(sumprod(row, equation)) for row in basis]
    coefficients = [equation[j] for j in present]
    return [int(sumprod([row[j] for j in present], coefficients)) for row in basis]


def _reduced(row: Vector) -> Vector:
    divisor = gcd(*row)
    return [x // divisor for x in row]
