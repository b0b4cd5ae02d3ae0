"""Which mechanism acts in which regime: the additive mean, written as columns.

    E[Y | a, R] = c + sum_k phi_k(a_k) + sum_k (1 - R_k) delta_k(a)

phi_k is the unconfounded contribution of action k and delta_k its confounding bias;
the confounded contribution is their sum. A decomposition is a tuple of terms, each a
frozen basis with the prior of its coefficients, and a gate: open for phi_k, 1 - R_k for
delta_k. The coefficients are shared by all regimes.

Plain regressions are made of the same terms: one for all rows, or one for each regime.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.data.lift_tests import LiftTest
from bayes_intgen.errors import ModelError
from bayes_intgen.models.gates import Always, Gate
from bayes_intgen.models.hyperpriors import Hyperpriors, LogNormals
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal

Role = Literal["intercept", "unconfounded", "bias", "regression"]


@dataclass(frozen=True, eq=False)
class Term:
    """One summand of the mean.

    Attributes
    ----------
    name : str
        ``phi(red)``, ``delta(red)``, ``delta(red | green)``, followed by the part.
    role : {"intercept", "unconfounded", "bias", "regression"}
    action : int or None
        The action whose mechanism the term belongs to.
    inputs : tuple of int
        Actions that the basis takes.
    part : Component
        Basis and prior. ``fixed_sd`` overrides its scale.
    fixed_sd : float or None
        Prior standard deviation in outcome standard deviations, where the scale is not
        learned (intercept and levels).
    gate : Gate
        In which regimes the term acts.
    """

    name: str
    role: Role
    action: int | None
    inputs: tuple[int, ...]
    component: Component
    fixed_sd: float | None
    gate: Gate

    @property
    def cross_action(self) -> bool:
        """Whether the term lets a mechanism depend on another action than its own."""
        return any(k != self.action for k in self.inputs)


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The terms of a model for given actions, with everything learned from the data frozen.

    Attributes
    ----------
    names : tuple of str, length K
    coordinates : tuple of Coordinate, length K
    terms : tuple of Term
    centre, unit : float
        Mean and standard deviation of the outcome, in its own units: prior scales are
        multiples of ``unit``, and the intercept counts from ``centre``.
    intercept_mean : float
        Prior mean of the intercept, in the outcome's units.
    categories : tuple of Categories or None, length K
        Levels of the actions that have some; None for the others.
    """

    names: tuple[str, ...]
    coordinates: tuple[Coordinate, ...]
    terms: tuple[Term, ...]
    centre: float
    unit: float
    intercept_mean: float
    categories: tuple[Categories | None, ...] = ()

    def __post_init__(self) -> None:
        # Fits that were saved before actions had levels.
        if not self.categories:
            object.__setattr__(self, "categories", (None,) * len(self.names))

    def without(self, names: Collection[str]) -> "Decomposition":
        """The same decomposition less some of its terms."""
        return replace(self, terms=tuple(t for t in self.terms if t.name not in names))

    def and_terms(self, more: Sequence[Term]) -> "Decomposition":
        """The same decomposition and further terms, whose columns come last."""
        return replace(self, terms=(*self.terms, *more))

    def with_scales(self, scales: Mapping[str, LogNormal]) -> "Decomposition":
        """The same decomposition with other priors of the scales of some terms."""
        terms = tuple(
            replace(
                term,
                component=replace(
                    term.component, scale=scales.get(term.name, term.component.scale)
                ),
            )
            for term in self.terms
        )
        return replace(self, terms=terms)

    @cached_property
    def columns(self) -> dict[str, slice]:
        """The columns of each term in the design matrix."""
        ends = np.cumsum([0, *(term.component.basis.size for term in self.terms)])
        return {
            term.name: slice(int(ends[i]), int(ends[i + 1])) for i, term in enumerate(self.terms)
        }

    @cached_property
    def size(self) -> int:
        """Number of coefficients P."""
        return sum(term.component.basis.size for term in self.terms)

    @cached_property
    def scaled(self) -> tuple[str, ...]:
        """Terms whose scale is a hyperparameter."""
        return tuple(term.name for term in self.terms if term.fixed_sd is None)

    @cached_property
    def lengthscales(self) -> dict[str, LogNormal]:
        """The lengthscales that are hyperparameters, with their priors."""
        return {
            self.lengthscale_of[term.name]: term.component.lengthscale
            for term in self.terms
            if term.component.lengthscale is not None
        }

    @cached_property
    def lengthscale_of(self) -> dict[str, str]:
        """The lengthscale that a term follows, by the term's name, where it follows one.

        An action's contributions, confounded or not and in whatever regime, are averages of one
        function f_k over its hidden cause: those with the same kernel and prior share a
        lengthscale, called as the action. Others are called as their first term.
        """
        found: dict[tuple[int | None, str | None, LogNormal], str] = {}
        labels = {}
        for term in self.terms:
            if term.component.lengthscale is None:
                continue
            key = (term.action, term.component.kernel, term.component.lengthscale)
            if key not in found:
                name = term.name if term.action is None else self.names[term.action]
                found[key] = term.name if name in found.values() else name
            labels[term.name] = found[key]
        return labels

    def hyperpriors(self, noise_scale: LogNormal) -> Hyperpriors:
        """The priors of all hyperparameters and coefficients, in the outcome's units.

        Parameters
        ----------
        noise_scale : LogNormal
            Prior of the noise's standard deviation, in outcome standard deviations.
        """
        log_unit = np.log(self.unit)
        stretched = list(self.lengthscales)
        kernels = tuple(
            sorted({t.component.kernel for t in self.terms if t.component.kernel is not None})
        )
        zeros = np.zeros(self.size)
        mean, fixed, frequency = zeros, zeros.copy(), zeros.copy()
        scale_of, lengthscale_of, kernel_of = (np.zeros(self.size, dtype=int) for _ in range(3))
        for term in self.terms:
            columns = self.columns[term.name]
            if term.fixed_sd is None:
                scale_of[columns] = self.scaled.index(term.name) + 1
            else:
                fixed[columns] = np.log(term.fixed_sd) + log_unit
            if term.component.kernel is not None:
                assert isinstance(term.component.basis, HSGPBasis)
                lengthscale_of[columns] = stretched.index(self.lengthscale_of[term.name]) + 1
                frequency[columns] = term.component.basis.frequencies
                kernel_of[columns] = kernels.index(term.component.kernel)
        mean[self.columns["intercept"]] = self.intercept_mean - self.centre
        scales = _log_normals([t.component.scale for t in self.terms if t.name in self.scaled])
        return Hyperpriors(
            scales._replace(log_median=scales.log_median + log_unit),
            _log_normals(list(self.lengthscales.values())),
            LogNormals(
                np.array(np.log(noise_scale.median) + log_unit), np.array(noise_scale.sigma)
            ),
            mean,
            fixed,
            scale_of,
            lengthscale_of,
            frequency,
            kernel_of,
            kernels,
        )

    def functions(self, actions: Array) -> Array:
        """Every term's functions, ungated, shape (n, P)."""
        # A function at a time is contiguous in memory.
        out = np.empty((self.size, len(actions)))
        evaluated = Evaluation(actions)
        for term in self.terms:
            out[self.columns[term.name]] = evaluated(term.component.basis, term.inputs)
        return out.T

    def gates(self, intervened: NDArray[np.bool_]) -> Array:
        """Every term's gate, shape (n, number of terms), for masks of shape (n, K)."""
        found: dict[Gate, Array] = {}
        for term in self.terms:
            if term.gate not in found:
                found[term.gate] = term.gate(intervened)
        return np.stack([found[term.gate] for term in self.terms], axis=1)

    def matrix(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """The design matrix, shape (n, P): every term's functions times its gate."""
        out, gates = self.functions(actions), self.gates(intervened)
        for i, term in enumerate(self.terms):
            if not isinstance(term.gate, Always):
                out[:, self.columns[term.name]] *= gates[:, [i]]
        return out

    def differences(self, tests: Sequence[LiftTest]) -> Array:
        """What the effect of each lift test is made of, phi_k(x_to) - phi_k(x_from), (L, P).

        Raises ModelError where no term is an action's own contribution.
        """
        out = np.zeros((len(tests), self.size))
        own = {t.action for t in self.terms if t.role == "unconfounded"}
        for row, test in zip(out, tests, strict=True):
            k = self.names.index(test.action)
            if k not in own:
                raise ModelError(
                    "lift tests are evidence of one action's own contribution, which only "
                    "models.additive() has; leave them out of the data for other models"
                )
            ends = np.array([[test.x_from], [test.x_to]])
            for term in self.terms:
                if term.role == "unconfounded" and term.action == k:
                    before, after = term.component.basis.matrix(ends)
                    row[self.columns[term.name]] = after - before
        return out


def _log_normals(priors: list[LogNormal]) -> LogNormals:
    return LogNormals(
        np.log(np.array([prior.median for prior in priors])).reshape(-1),
        np.array([prior.sigma for prior in priors]).reshape(-1),
    )
