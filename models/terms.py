"""Terms of the mean, as gated columns of a design matrix.

    E[Y | a, R] = c + sum_k phi_k(a_k) + sum_(j<k) psi_jk(a_j, a_k) + sum_k (1 - R_k) delta_k(a)
                  + sum_(j<k) (1 - R_j) (1 - R_k) delta_jk(a_j, a_k)

phi_k is the unconfounded contribution of action k, psi_jk the interaction of two actions, delta_k
the confounding bias, and delta_jk the joint bias of two actions whose hidden causes interact;
phi_k + delta_k is the confounded contribution. A decomposition is a tuple of terms. Each term has a
frozen basis, the prior of its coefficients, and a gate, its weight in each regime, such as 1 for
phi_k and psi_jk and 1 - R_k for delta_k. All regimes share the coefficients.

Plain regressions consist of the same terms: a single regression on all rows, or one per regime.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.combined import ConcatenatedBasis, PastActions, RateError, SumBasis
from bayes_intgen.basis.control import ControlBasis, ControlError, ResidualBasis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.data.covariates import CovariateColumns
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.graph import PRIOR_OF_EDGE
from bayes_intgen.identification.regimes import Mask, masks_of, regime_weights
from bayes_intgen.models.carryover import Adstock, Periods
from bayes_intgen.models.hyperpriors import Hyperpriors, LogNormals
from bayes_intgen.models.mechanisms.mechanism import (
    SMOOTHNESS,
    Component,
    LogNormal,
    spectral_constant,
)
from bayes_intgen.models.population import Population

if TYPE_CHECKING:
    from jax.typing import ArrayLike

Role = Literal[
    "intercept",
    "unconfounded",
    "interaction",
    "bias",
    "regression",
    "covariate",
    "group",
    "usual",
    "moderator",
]


@dataclass(frozen=True)
class Where:
    """Gate of a term that acts where some actions were all set, or where none of them was.

    Without actions the term acts in every regime; with one that was not set, the gate is 1 - R_k.

    Attributes
    ----------
    actions : tuple of int
    were_set : bool
    """

    actions: tuple[int, ...] = ()
    were_set: bool = False

    def __call__(self, intervened: NDArray[np.bool_]) -> Array:
        """One where the masks of the actions are so, otherwise zero, shape (n,), for (n, K)."""
        masks = intervened[:, list(self.actions)]
        return np.asarray((masks == self.were_set).all(axis=1), dtype=np.float64)


ALWAYS = Where()


@dataclass(frozen=True)
class InRegime:
    """Gate of a term that acts in one regime.

    Attributes
    ----------
    regimes : tuple of masks
        Regimes in the data.
    index : int
        Position of the term's regime among them.
    """

    regimes: tuple[Mask, ...]
    index: int

    def __call__(self, intervened: NDArray[np.bool_]) -> Array:
        """Weight of the term's regime in the regime of each row, shape (n,).

        One in its own regime, and zero in the other regimes in the data. A regime without data is
        a combination of the others, with the weights of
        :func:`~bayes_intgen.identification.regimes.regime_weights`.

        Raises
        ------
        ModelError
            If a regime is no combination of those in the data.
        """
        masks, which = masks_of(np.asarray(intervened, dtype=bool))
        return np.array([self._weight(mask) for mask in masks])[which]

    def _weight(self, mask: Mask) -> float:
        if mask in self.regimes:
            return float(self.regimes.index(mask) == self.index)
        weights = regime_weights(self.regimes, mask)
        if weights is None:
            raise ModelError(
                "separate regressions cannot predict a regime that is no combination of those in "
                "the data; use models.additive()"
            )
        return float(weights[self.index])


Gate = Where | InRegime


@dataclass(frozen=True, eq=False)
class Term:
    """One summand of the mean.

    Attributes
    ----------
    name : str
        ``phi(red)``, ``phi(red, green)``, ``psi(red, green)``, ``psi(red, green | set)``,
        ``delta(red)``, ``delta(red | green)`` or ``delta(red, green)``, followed by the component's
        label.
    role : Role
    action : int or None
        Action of the mechanism; None for a function of two actions jointly, or that actions share.
    inputs : tuple of int
        Arguments of the basis: actions, then covariates and groups, counted through. At most one
        of them is a covariate or group.
    component : Component
        Basis and prior. ``fixed_sd`` overrides its scale.
    fixed_sd : float or None
        Prior standard deviation in outcome standard deviations, if the scale is not a
        hyperparameter (intercept and levels).
    gate : Gate
        Weight of the term in each regime.
    of_period : bool
        Whether the basis is of the actions of a row's period, also where these carry over.
    """

    name: str
    role: Role
    action: int | None
    inputs: tuple[int, ...]
    component: Component
    fixed_sd: float | None
    gate: Gate
    of_period: bool = False

    @property
    def cross_action(self) -> bool:
        """Whether the term makes a mechanism depend on another input than its own action."""
        basis = self.component.basis
        if isinstance(basis, ControlBasis | ResidualBasis):
            return len(basis.arguments) > 1
        others = (set(term.inputs) - {term.action} for term in self.summands)
        return isinstance(basis, PastActions) or any(others)

    @property
    def summands(self) -> tuple["Term", ...]:
        """Functions of inputs that do not interact, with the coefficients and name of the term.

        A function that actions share is a sum over them; any other term is its own summand.
        """
        if not isinstance(self.component.basis, SumBasis):
            return (self,)
        return tuple(
            replace(self, action=k, inputs=(k,), component=replace(self.component, basis=part))
            for k, part in zip(self.inputs, self.component.basis.parts, strict=True)
        )

    @cached_property
    def parts(self) -> tuple["Term", ...]:
        """Parts with gates of their own, with the coefficients and name of the term.

        Errors of a control variable are in the bias and, in every regime, in the usual action.
        """
        basis = self.component.basis
        if self.action is None or not isinstance(basis, ControlError) or not basis.slopes:
            return (self,)

        def part(basis: Basis, **changes: Any) -> Term:
            return replace(self, component=replace(self.component, basis=basis), **changes)

        of_bias = part(replace(basis, slopes=()), gate=Where((self.action,)))
        of_usual = (
            part(own, action=None, inputs=tuple(self.inputs[i] for i in at), of_period=False)
            for at, own in basis.of_usual
        )
        return of_bias, *of_usual

    @property
    def is_interaction(self) -> bool:
        """Whether the term is an interaction of two actions in every regime."""
        return self.role == "interaction" and self.gate == ALWAYS

    def depends_on_covariates(self, actions: int) -> bool:
        """Whether one of the inputs is a covariate or group; there are ``actions`` actions."""
        return any(i >= actions for i in self.inputs)


class Interaction(NamedTuple):
    """Functions of two actions jointly.

    Attributes
    ----------
    basis : Basis
    columns : ndarray of int, shape (basis.size,)
        Their columns in the design matrix.
    """

    basis: Basis
    columns: NDArray[np.int_]


@dataclass(frozen=True, eq=False)
class RandomEffects:
    """Levels and slopes of the many groups of one grouping, integrated out of the likelihood.

    Rows of group g have the outcome y = X beta + Z b_g + noise, with b_g normal of mean zero and
    variance ``ratio`` times that of the noise, independently per column of Z. With the sums Z'WX
    and Z'WZ of each group, its effects integrate out of the sufficient statistics (Laird and Ware
    1982).

    Attributes
    ----------
    grouping : int
        Position of the grouping among the inputs.
    names : tuple of str, length q
        Names of the effects, such as ``patient`` and ``patient | tv``.
    bases : tuple of Basis
        Functions of one input whose coefficients differ between groups, q of them in all.
    inputs : tuple of int
        Input of each basis.
    ratio : tuple of float, length q
        Variance of each effect between groups, over that of the noise.
    """

    grouping: int
    names: tuple[str, ...]
    bases: tuple[Basis, ...]
    inputs: tuple[int, ...]
    ratio: tuple[float, ...]

    def functions(self, inputs: Array) -> Array:
        """Columns Z of rows, shape (n, q); actions alone suffice."""
        # A level is constant, whatever the group.
        last = inputs.shape[1] - 1
        pairs = zip(self.bases, self.inputs, strict=True)
        return np.concatenate([b.matrix(inputs[:, [min(i, last)]]) for b, i in pairs], axis=1)

    def of_rows(self, inputs: Array) -> tuple[NDArray[np.int_], Array]:
        """Groups of rows, shape (n,), and their columns Z, shape (n, q)."""
        return inputs[:, self.grouping].astype(int), self.functions(inputs)

    def variance(self, inputs: Array) -> Array:
        """Variance of their sum in each row, over that of the noise, shape (n,)."""
        return np.asarray(self.functions(inputs) ** 2 @ np.array(self.ratio))

    def drawn(self, noise_sd: Array, rng: np.random.Generator) -> Array:
        """Draw the effects of one group, shape (chain, draw, q), given the noise, (chain, draw)."""
        parts = [rng.standard_normal((*noise_sd.shape, basis.size)) for basis in self.bases]
        return np.asarray(np.concatenate(parts, -1) * noise_sd[..., None] * np.sqrt(self.ratio))


class PseudoObservations(NamedTuple):
    """Rows whose noise has a known standard deviation, and does not scale with ``noise_sd``.

    An example is an estimated difference between two means, with its standard error.

    Attributes
    ----------
    matrix : (L, P), outcome : (L,)
        Divided by the known standard deviation.
    log_sd : (L,)
        Logarithm of the known standard deviation.
    """

    matrix: "ArrayLike"
    outcome: "ArrayLike"
    log_sd: "ArrayLike"


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Terms of a model for specific data, with every constant estimated from the data frozen.

    Attributes
    ----------
    names : tuple of str, length K
    coordinates : tuple of Coordinate, length K
    terms : tuple of Term
    centre, unit : float
        Mean and standard deviation of the outcome, in its own units. Prior scales are multiples of
        ``unit``, and the intercept is relative to ``centre``.
    intercept_mean : float
        Prior mean of the intercept, in the outcome's units.
    categories : tuple of Categories or None, length K
        Levels of each action; None for actions without levels.
    covariates : CovariateColumns
        Names, levels and labels of covariates and groups.
    random_effects : RandomEffects, optional
        Levels and slopes of the groups of a fine grouping, which are integrated out.
    parents : ndarray, shape (K, K), optional
        Entry ``[k, j]`` is the probability that action j is a parent of action k. None if the graph
        was not learned.
    carryover : mapping from action to Adstock
        Actions that act for some periods, with their rates.
    """

    names: tuple[str, ...]
    coordinates: tuple[Coordinate, ...]
    terms: tuple[Term, ...]
    centre: float
    unit: float
    intercept_mean: float
    categories: tuple[Categories | None, ...]
    covariates: CovariateColumns = field(default_factory=CovariateColumns)
    random_effects: RandomEffects | None = None
    parents: Array | None = None
    carryover: Mapping[str, Adstock] = field(default_factory=dict)

    def is_ordered(self, k: int) -> bool:
        """Whether the values of an action have an order: numbers, ordered levels, or two levels."""
        levels = self.categories[k]
        return levels is None or levels.numeric or levels.ordered or len(levels.labels) == 2

    @cached_property
    def parts(self) -> tuple[Term, ...]:
        """Parts of all terms, each with one gate."""
        return tuple(part for term in self.terms for part in term.parts)

    def without(self, names: Collection[str]) -> "Decomposition":
        """Remove terms by name."""
        return replace(self, terms=tuple(t for t in self.terms if t.name not in names))

    @cached_property
    def summands(self) -> tuple[Term, ...]:
        """Summands of all terms, so that functions of one action alone have it as their action."""
        return tuple(own for term in self.terms for own in term.summands)

    def and_terms(self, more: Sequence[Term]) -> "Decomposition":
        """Append terms; their columns come last."""
        return replace(self, terms=(*self.terms, *more))

    @cached_property
    def interactions(self) -> dict[tuple[int, int], Interaction]:
        """Functions of two actions jointly where both were set, by their positions."""
        return self._of_pairs("interaction")

    @cached_property
    def joint_biases(self) -> dict[tuple[int, int], Interaction]:
        """Functions of two actions jointly where neither was set, by their positions."""
        return self._of_pairs("bias")

    @property
    def pairs_set(self) -> set[tuple[int, int]]:
        """Pairs of actions with functions that act only where both were set."""
        gates = {term.gate for term in self.terms if isinstance(term.gate, Where)}
        pairs = [gate.actions for gate in gates if gate.were_set and len(gate.actions) == 2]
        return {(first, second) for first, second in pairs}

    def _of_pairs(self, role: Role) -> dict[tuple[int, int], Interaction]:
        """Functions of two actions that belong to neither alone, by their positions."""
        every, out = np.arange(self.size), dict[tuple[int, int], Interaction]()
        for term in self.terms:
            if term.role == role and term.action is None:
                (j, k), basis = term.inputs, term.component.basis
                columns = every[self.columns[term.name]]
                if (j, k) in out:
                    basis = ConcatenatedBasis(out[j, k].basis, basis)
                    columns = np.concatenate([out[j, k].columns, columns])
                out[j, k] = Interaction(basis, columns)
        return out

    @property
    def pair_labels(self) -> list[str]:
        """Labels of the pairs of :attr:`interactions`: both names."""
        return [f"{self.names[j]}, {self.names[k]}" for j, k in self.interactions]

    @cached_property
    def columns(self) -> dict[str, slice]:
        """Columns of each term in the design matrix."""
        columns, end = dict[str, slice](), 0
        for term in self.terms:
            begin, end = end, end + term.component.basis.size
            columns[term.name] = slice(begin, end)
        return columns

    def columns_of(self, terms: Sequence[Term]) -> NDArray[np.int_]:
        """Columns of some of the terms, one after the other."""
        every = np.arange(self.size)
        return np.concatenate([every[:0], *(every[self.columns[term.name]] for term in terms)])

    @cached_property
    def size(self) -> int:
        """Number of coefficients P."""
        return sum(term.component.basis.size for term in self.terms)

    @cached_property
    def scales(self) -> dict[str, LogNormal]:
        """Scales that are hyperparameters, with their priors, by term or name of a shared scale."""
        return {
            self.scale_of[term.name]: term.component.scale
            for term in self.terms
            if term.fixed_sd is None
        }

    @cached_property
    def scale_of(self) -> dict[str, str]:
        """Label of each term's scale, by the term's name."""
        return {term.name: term.component.shared_scale or term.name for term in self.terms}

    @cached_property
    def lengthscales(self) -> dict[str, LogNormal]:
        """Lengthscales that are hyperparameters, with their priors."""
        return {
            self.lengthscale_of[term.name]: term.component.lengthscale
            for term in self.terms
            if term.component.lengthscale is not None
        }

    @cached_property
    def lengthscale_of(self) -> dict[str, str]:
        """Label of each term's lengthscale, by the term's name, for terms that have one.

        All contributions of an action, in any regime, are averages of one function f_k over its
        hidden cause. So those with the same kernel and prior share a lengthscale, named after the
        action. Further lengthscales are named after their first term.
        """
        label_of_key: dict[tuple[int | tuple[int, ...] | None, str | None, LogNormal], str] = {}
        labels = {}
        for term in self.terms:
            if term.component.lengthscale is None:
                continue
            owner = term.action if len(term.summands) == 1 else term.inputs
            key = (owner, term.component.kernel, term.component.lengthscale)
            if key not in label_of_key:
                name = term.name if term.action is None else self.names[term.action]
                label_of_key[key] = term.name if name in label_of_key.values() else name
            labels[term.name] = label_of_key[key]
        return labels

    def hyperpriors(self, noise_scale: LogNormal) -> Hyperpriors:
        """Priors of all hyperparameters and coefficients, in the outcome's units.

        Parameters
        ----------
        noise_scale : LogNormal
            Prior of the noise standard deviation, in outcome standard deviations.
        """
        log_unit = np.log(self.unit)
        scales, lengthscales = [*self.scales], [*self.lengthscales]
        mean, fixed, frequency, roughness = np.zeros((4, self.size))
        scale_of, lengthscale_of = np.zeros((2, self.size), dtype=int)
        for term in self.terms:
            columns = self.columns[term.name]
            if term.fixed_sd is None:
                scale_of[columns] = scales.index(self.scale_of[term.name]) + 1
            else:
                fixed[columns] = np.log(term.fixed_sd) + log_unit
            if term.component.kernel is not None:
                lengthscale_of[columns] = lengthscales.index(self.lengthscale_of[term.name]) + 1
                fixed[columns] += spectral_constant(term.component.kernel)
                frequency[columns] = term.component.frequencies
                roughness[columns] = 1 / SMOOTHNESS[term.component.kernel]
        mean[self.columns["intercept"]] = self.intercept_mean - self.centre
        sites = {}
        if scales:
            sites["scale"] = _log_normals(self.scales.values(), log_unit)
        if lengthscales:
            sites["lengthscale"] = _log_normals(self.lengthscales.values(), 0.0)
        noise_median = np.array(np.log(noise_scale.median) + log_unit)
        sites["noise_sd"] = LogNormals(noise_median, np.array(noise_scale.sigma))
        return Hyperpriors(sites, mean, fixed, scale_of, lengthscale_of, frequency, roughness)

    def matrix(
        self,
        inputs: Array,
        intervened: NDArray[np.bool_] | None = None,
        population: Population | None = None,
        evaluation: Evaluation | None = None,
        units: Population | None = None,
        periods: Periods | None = None,
    ) -> Array:
        """Design matrix, shape (n, P): the functions of every term times its gate.

        Parameters
        ----------
        inputs : ndarray, shape (n, K + C + G) or (n, K)
            Actions, covariates and groups of rows, or actions alone. Without covariates,
            functions are averages over a population.
        intervened : ndarray of bool, shape (n, K), optional
            Masks of the rows; by default all gates are one. Functions of weight zero throughout
            are not evaluated.
        population : Population, optional
            By default that of the observational rows, over which functions of covariates and
            groups average zero.
        evaluation : Evaluation, optional
            Values of bases at the same rows, to which new ones are added.
        units : Population, optional
            Units of the population, over which functions of control variables are averaged: these
            depend on actions and covariates together, and do not average zero at an action.
        periods : Periods, optional
            Of rows whose actions are carried over. By default actions are held, and the same in
            all periods.
        """
        gates = {part.gate for part in self.parts}
        acting = {gate: 1.0 if intervened is None else gate(intervened) for gate in gates}
        count = len(self.names)
        own_covariates = inputs.shape[1] > count
        if evaluation is None:
            averages = None if population is None else population.padded(count)
            evaluation = Evaluation(inputs, averages, count)
        # Each function is contiguous in memory.
        out = np.empty((self.size, len(inputs)), dtype=evaluation.dtype)
        of_units = of_period = evaluation
        if periods is not None:
            of_period = Evaluation(np.column_stack([periods.now, inputs[:, count:]]))
        if units is not None and not own_covariates:
            of_units = Evaluation(inputs, units.padded(count), count)

        def values_of(term: Term) -> Array | float:
            weights = acting[term.gate]
            if not np.any(weights):
                return 0.0
            basis, others = term.component.basis, [i - count for i in term.inputs if i >= count]
            covered = [population is not None and population.covers(i) for i in others]
            covers = all(covered)
            # A question may fix some covariates of a product.
            joint = units is not None and (
                isinstance(basis, ControlBasis | ControlError | ResidualBasis)
                or (any(covered) and not covers)
            )
            if periods is not None and isinstance(basis, RateError | PastActions):
                (k,) = term.inputs
                own = inputs[:, [k]], periods.slope[:, [k]], periods.past[:, :, k]
                functions = basis.of_rows(*own).T
            elif periods is not None and term.of_period:
                functions = of_period(basis, term.inputs)
            elif own_covariates or joint or covers:
                functions = (of_units if joint else evaluation)(basis, term.inputs)
            else:
                return 0.0
            return functions if np.all(weights == 1) else functions * weights

        for term in self.terms:
            first, *others = term.parts
            columns = self.columns[term.name]
            out[columns] = values_of(first)
            for part in others:
                out[columns] += values_of(part)
        return out.T

    def observed_causes(self, inputs: Array) -> Array:
        """Functions of covariates, and indicators of groups, on which actions may depend too.

        Parameters
        ----------
        inputs : ndarray, shape (n, K + C + G)

        Returns
        -------
        ndarray, shape (n, number of functions)
        """
        own = tuple(t for t in self.terms if t.role in ("covariate", "group") and t.action is None)
        return replace(self, terms=own).matrix(inputs)

    def moderators_of(self, action: int, intervened: NDArray[np.bool_]) -> set[str]:
        """Covariates and groups on which the effect of an action depends, under a mask (K,)."""
        inputs = [part.inputs for part in self.parts if part.gate(intervened[None])[0]]
        if self.random_effects is not None:
            inputs += [(k, self.random_effects.grouping) for k in self.random_effects.inputs]
        count = len(self.names)
        others = {i - count for own in inputs if action in own for i in own if i >= count}
        return {self.covariates.every[i] for i in others}

    def is_plausible(self, term: Term) -> bool:
        """Whether the actions on which a bias depends are as likely parents as without rows."""
        if self.parents is None or term.role != "bias" or term.action is None:
            return True
        others = [i for i in term.inputs if i != term.action and i < len(self.names)]
        return bool((self.parents[term.action, others] >= PRIOR_OF_EDGE).all())

    def design(self, rows: Observations) -> Array:
        """Design matrix of rows, shape (n, P)."""
        periods = None if rows.periods is None else Periods.of(rows)
        return self.matrix(rows.inputs, rows.intervened, periods=periods)


def _log_normals(priors: Collection[LogNormal], log_unit: float) -> LogNormals:
    medians, sigmas = [own.median for own in priors], [own.sigma for own in priors]
    return LogNormals(np.log(np.array(medians)) + log_unit, np.array(sigmas))
