"""Grid of plans: combinations of candidates within each component of interacting actions."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.decide.problem import Problem

Positions = NDArray[np.int_]


class Grid:
    """Options of each component.

    Parameters
    ----------
    problem : Problem
    components : tuple of tuple of int
        Positions of the actions of each component.
    most : int
        Maximum number of options of a component.

    Attributes
    ----------
    options : list of ndarray, each (n, actions of the component)
    costs : list of ndarray, each (n,)
    """

    def __init__(
        self, problem: Problem, components: tuple[tuple[int, ...], ...], most: int
    ) -> None:
        self.problem, self.components = problem, components
        self.options: list[Array] = []
        self.costs: list[Array] = []
        for component in components:
            size = max(2, int(most ** (1 / len(component)) + 1e-9))
            options = combinations([thinned(problem.candidates[k], size) for k in component])
            self.options.append(options)
            self.costs.append(problem.cost_of_options(options, component))

    def points(self, which: int) -> Array:
        """The baseline with one component at each of its options, shape (n, K)."""
        options = self.options[which]
        out = np.tile(self.problem.baseline, (len(options), 1))
        out[:, list(self.components[which])] = options
        return out

    def plans(self, choices: Positions) -> Array:
        """Plans, shape (S, K), of options by their positions, shape (S, number of components)."""
        out = np.empty((len(choices), len(self.problem.candidates)))
        for component, options, choice in zip(
            self.components, self.options, choices.T, strict=True
        ):
            out[:, list(component)] = options[choice]
        return out


def combinations(values: Sequence[Array]) -> Array:
    """All combinations of values, shape (M, number of sequences).

    Examples
    --------
    >>> combinations([np.array([0.0, 1.0]), np.array([5.0])])
    array([[0., 5.],
           [1., 5.]])
    """
    return np.array(list(product(*values)))


def thinned(values: Array, most: int) -> Array:
    """At most ``most`` of some values, evenly spaced with both ends.

    Examples
    --------
    >>> thinned(np.arange(9.0), 3)
    array([0., 4., 8.])
    """
    positions = np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int)
    return np.asarray(values[np.unique(positions)])
