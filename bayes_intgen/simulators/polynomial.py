"""Random polynomial models of order two, as published with arXiv 2506.04945."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Literal, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import StructuralCausalModel, random_graph

Law = Literal["gaussian", "uniform", "logistic"]
LAWS: tuple[Law, ...] = ("gaussian", "uniform", "logistic")
CAUSE_SD, NOISE_SD, EDGE_PROBABILITY = 0.5, 0.1, 0.3


def draw(law: Law, sd: float, rows: int, rng: Generator) -> Array:
    """Draw from a law of mean zero with standard deviation ``sd``, shape (rows,)."""
    if law == "gaussian":
        return rng.normal(scale=sd, size=rows)
    if law == "uniform":
        return np.asarray(rng.uniform(-1, 1, size=rows) * sd * np.sqrt(3))
    return rng.logistic(scale=sd * np.sqrt(3) / np.pi, size=rows)


def quadratic(coefficients: Array, variables: list[Array]) -> Array:
    """Polynomial of order two: constant, linear terms, then products in order."""
    columns = [np.ones_like(variables[0]), *variables]
    columns += [x * y for x, y in combinations_with_replacement(variables, 2)]
    return np.asarray(np.stack(columns, axis=-1) @ coefficients)


@dataclass(frozen=True, eq=False)
class Polynomial(StructuralCausalModel):
    """f_k and g_k are polynomials of order two, with coefficients of absolute sum one.

    g_k takes the parents of A_k, c_k and v_k; f_k takes a_k and c_k. W has standard
    deviation 0.5, V and U have 0.1, each Gaussian, uniform or logistic. do(A_k) is normal
    with the observational mean and standard deviation of A_k.

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    action_coefficients, outcome_coefficients : tuple of ndarray
        Of g_k and f_k.
    cause_laws, action_laws : tuple of str, length K
        Laws of W_k and V_k.
    noise_law : str
        Law of U.
    settings : ndarray, shape (K, 2)
        Mean and standard deviation of each action under do.
    """

    names: tuple[str, ...]
    graph: Mapping[str, tuple[str, ...]]
    action_coefficients: tuple[Array, ...]
    outcome_coefficients: tuple[Array, ...]
    cause_laws: tuple[Law, ...]
    action_laws: tuple[Law, ...]
    noise_law: Law
    settings: NDArray[np.float64]

    @classmethod
    @takes_rng
    def random(cls, count: int, seed: Seed, *, moment_rows: int = 100_000) -> Self:
        """A random model with ``count`` actions.

        Parameters
        ----------
        count : int
        seed : int
        moment_rows : int
            Rows for estimating the observational means and standard deviations, which the
            interventions share.

        Examples
        --------
        >>> Polynomial.random(3, seed=0).names
        ('a1', 'a2', 'a3')
        """
        rng = np.random.default_rng(seed)
        names, graph = random_graph(count, EDGE_PROBABILITY, rng)

        def coefficients(variables: int) -> Array:
            raw = rng.normal(size=(variables + 1) * (variables + 2) // 2)
            return np.asarray(raw / np.abs(raw).sum())

        def laws(size: int) -> tuple[Law, ...]:
            return tuple(LAWS[i] for i in rng.integers(0, 3, size))

        model = cls(
            names,
            graph,
            tuple(coefficients(len(graph[name]) + 2) for name in names),
            tuple(coefficients(2) for _ in names),
            laws(count),
            laws(count),
            laws(1)[0],
            np.zeros((count, 2)),
        )
        actions, _ = model.sample((), moment_rows, rng)
        settings = np.stack([actions.mean(axis=0), actions.std(axis=0)], axis=1)
        return replace(model, settings=settings)

    def draw_causes(self, rows: int, rng: Generator) -> Array:
        return np.stack([draw(law, CAUSE_SD, rows, rng) for law in self.cause_laws], axis=1)

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        own = draw(self.action_laws[action], NOISE_SD, len(causes), rng)
        variables = [*(actions[:, j] for j in self.parents(action)), causes[:, action], own]
        return quadratic(self.action_coefficients[action], variables)

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        mean, sd = self.settings[action]
        return np.asarray(rng.normal(mean, sd, size=rows))

    def contribution(self, action: int, values: Array, causes: Array) -> Array:
        return quadratic(self.outcome_coefficients[action], [values, causes])

    def draw_noise(self, rows: int, rng: Generator) -> Array:
        return draw(self.noise_law, NOISE_SD, rows, rng)

    def unconfounded(self, action: int, values: Array) -> Array:
        constant, of_a, _, of_aa, _, of_cc = self.outcome_coefficients[action]
        return np.asarray(constant + of_a * values + of_aa * values**2 + of_cc * CAUSE_SD**2)

    @property
    def cause_moments(self) -> tuple[Array, Array]:
        count = len(self.names)
        return np.zeros(count), np.full(count, CAUSE_SD)
