"""What models of any kind share: bases of their functions, terms, noise, and NumPyro program.

A subclass defines the terms of the mean (``decompose``). A default fit adapts the model to the data
before sampling, so that the sampled posterior differs from that of ``Model.program``:
:meth:`bayes_intgen.Posterior.program` returns the adapted program, and
docs/explanation/method.md ("The program and the sampled posterior") lists the differences.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis, Constant, LinearBasis, PiecewiseLinear
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.combined import PastActions, SumBasis, TensorProductBasis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.regimes import Mask
from bayes_intgen.models.carryover import PAST_RATES, Adstock
from bayes_intgen.models.laws import LAWS, Link, Noise, OutcomeLaw
from bayes_intgen.models.mechanisms.mechanism import (
    CROSS_ACTION_SCALE,
    MAX_LEVELS,
    PAIR_KNOTS,
    Column,
    Component,
    LogNormal,
    Mechanism,
    Shape,
    finer_label,
    marginal_basis_size,
    random_walk,
)
from bayes_intgen.models.mechanisms.parametric import Levels, Linear
from bayes_intgen.models.mechanisms.smooth import Seasonal, Trend
from bayes_intgen.models.terms import (
    ALWAYS,
    Decomposition,
    Gate,
    PseudoObservations,
    RandomEffects,
    Role,
    Term,
)
from bayes_intgen.text.messages import option

if TYPE_CHECKING:
    from jax.typing import ArrayLike

CovariateMechanism = Mechanism | Trend | Seasonal
SpreadName = Literal["fitted", "constant"]
# Maximum number of coefficients: an evaluation costs their cube, and more would take hours.
MAX_COEFFICIENTS = 5000
# Maximum number of units that determine scales, knots and centres.
MAX_UNITS = 20_000
# Component of an intercept or level, whose scale is ignored because its term has a `fixed_sd`.
CONSTANT = Component("", Constant(), LogNormal(1.0, 1.0))


def unit_rows(data: Observations) -> Observations:
    """Rows of single units, at most about ``MAX_UNITS``, where rows are means of several."""
    if data.weights is None:
        return data
    scale = min(1.0, MAX_UNITS / data.weights.sum())
    times = np.maximum(np.rint(data.weights * scale), 1).astype(int)
    return data.take(np.repeat(np.arange(len(data)), times))


class Bases:
    """Components of mechanisms for specific data; equal components are computed once.

    The marginal basis of an action follows the mechanism that takes the action as an input, or the
    action's own mechanism if either of them has levels.

    Parameters
    ----------
    data : Observations
    own : sequence of Mechanism, length K
        Mechanism of each action.
    rows : int, optional
        Number of rows in all if ``data`` is a sample of them.
    """

    def __init__(
        self, data: Observations, own: Sequence[Mechanism], rows: int | None = None
    ) -> None:
        self.rows = len(data) if rows is None else rows
        self.units = unit_rows(data)
        self.actions = actions = self.units.actions
        # Carried over, an action varies less; questions are about one that is held at any value.
        self.of_period = self.units.this_period.actions
        self.coordinates = tuple(map(Coordinate.of, self.of_period.T))
        columns = [Column(actions[:, [k]], z, self.rows) for k, z in enumerate(self.coordinates)]
        size = marginal_basis_size(self.rows)
        # Marginal bases of covariates, by what they depend on.
        self.covariate_margins: dict[Any, CentredBasis] = {}

        def margin(mechanism: Mechanism, k: int) -> Basis:
            """Marginal basis of an action as a factor of products."""
            with_levels = isinstance(own[k], Levels) or isinstance(mechanism, Levels)
            return (own[k] if with_levels else mechanism).marginal_basis(columns[k], size)

        def walk(k: int, refinement: int) -> PiecewiseLinear:
            if isinstance(own[k], Levels):
                levels = own[k].marginal_basis(columns[k], MAX_LEVELS)
                assert isinstance(levels, PiecewiseLinear)
                return levels
            return random_walk(columns[k], round(PAIR_KNOTS * refinement**0.5))

        self.margin, self.walk = cache(margin), cache(walk)
        self.main_effect = cache(lambda mechanism, k: mechanism.main_effect(columns[k]))
        self.finer = cache(lambda mechanism, k, times: mechanism.finer(columns[k], times))

    def shared(self, mechanism: Mechanism, actions: Sequence[int]) -> tuple[Component, ...]:
        """Components of a function that actions with the same unit share.

        Its coordinate is that of the values of all of them. Like any contribution, it averages zero
        over the values of each.
        """
        own, out = [self.actions[:, [k]] for k in actions], list[Component]()
        coordinate = Coordinate.of(self.of_period[:, list(actions)].ravel())
        for c in mechanism.main_effect(Column(np.concatenate(own), coordinate, self.rows)):
            parts = (CentredBasis(c.basis, c.basis.matrix(x).mean(axis=0)) for x in own)
            out.append(replace(c, basis=SumBasis(tuple(parts))))
        return tuple(out)

    def past(self, k: int) -> Component:
        """Functions of an action's earlier periods, which tell of hidden causes that persist."""
        line = LinearBasis.of(self.actions[:, [k]], self.coordinates[k])
        return Component("past", PastActions(line, len(PAST_RATES)), CROSS_ACTION_SCALE)

    def product(self, one: Mechanism, other: Mechanism, j: int, k: int) -> Component:
        """Products of functions of two actions, with the resolution of the finer mechanism."""
        factors = (self.margin(one, j), self.margin(other, k))
        order = max(1, one.pair_order(self.rows), other.pair_order(self.rows))
        return Component("", TensorProductBasis(factors, order), one.interaction, inputs=(0, 1))

    def finer_product(
        self, mechanisms: tuple[Mechanism, Mechanism], inputs: tuple[int, int], refinement: int
    ) -> Component | None:
        """Products of random walks along two actions; None if levels have all products already."""
        one, other = (self.walk(k, refinement) for k in inputs)
        basis = TensorProductBasis((one, other), one.size + other.size)
        if self.product(*mechanisms, *inputs).basis.size >= basis.size:
            return None
        scale = mechanisms[0].interaction
        return Component(finer_label(refinement), basis, scale, inputs=(0, 1))


class Function(NamedTuple):
    """Function in the mean, whose components have a term each.

    Attributes
    ----------
    name : str
    role : Role
    action : int or None
    prior : Mechanism
    gate : Gate
    of_period : bool
    """

    name: str
    role: Role
    action: int | None
    prior: Mechanism
    gate: Gate = ALWAYS
    of_period: bool = False

    def term(self, component: Component, *inputs: int) -> Term:
        """Term of a component, whose label follows the name."""
        name = f"{self.name} {component.label}" if component.label else self.name
        return Term(
            name, self.role, self.action, inputs, component, None, self.gate, self.of_period
        )


def refuse_prior_of_numbers(column: str, levels: Categories, prior: CovariateMechanism) -> None:
    """Raise ModelError if a column with named levels has a prior for numbers."""
    if not (levels.numeric or isinstance(prior, Levels)):
        raise ModelError(
            f"{column} has named levels ({levels.spelled()}), but "
            + option(
                f"{type(prior).__name__}() is for numbers; use bi.Levels(), or omit its prior",
                command="a shape is of numbers; leave it out, or name it in --levels, too",
            )
        )


@dataclass(frozen=True)
class Model(ABC):
    """Abstract base class of models, independent of data.

    Attributes
    ----------
    prior : Mechanism
        Default prior of every function.
    noise : {"gaussian", "student_t"}
    spread : {"fitted", "constant"}
        Whether the noise variance depends on regime and actions.
    noise_scale : LogNormal
        Prior of the noise standard deviation, in outcome standard deviations.
    intercept : (mean, sd) or None
        Normal prior of the intercept, in the outcome's units.
    link : {"identity", "log"}
        Scale on which the terms add up: the outcome itself, or its logarithm. Rows that a model
        sees have their outcome on this scale.
    carryover : mapping from action to Adstock
        Actions that act for some periods. Rows that a model sees have carried-over actions.
    """

    prior: Mechanism
    noise: Noise
    spread: SpreadName
    noise_scale: LogNormal
    intercept: tuple[float, float] | None
    link: Link = field(default="identity", kw_only=True)
    carryover: Mapping[str, Adstock] = field(default_factory=dict, kw_only=True)

    @property
    def law(self) -> type[OutcomeLaw]:
        """Law of outcomes that are numbers: all that depends on the link before a fit."""
        return LAWS[self.link]

    @abstractmethod
    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        """Terms of the mean for ``data``, which may be a sample of ``rows`` rows.

        Raises
        ------
        ModelError
            If model and data do not fit together.
        """

    def candidates(self, data: Observations, rows: int | None = None) -> tuple[Term, ...]:
        """Candidates of forward selection, in addition to the terms of :meth:`decompose`."""
        return ()

    def functions_of_parents(
        self, data: Observations, parents: Mapping[int, Sequence[int]], rows: int
    ) -> tuple[Term, ...]:
        """Functions of the parents of some actions in their biases, for a sample of ``rows``."""
        return ()

    def fit_tests(self, data: Observations, refinement: int = 1) -> tuple[Term, ...]:
        """Finer functions of each action, as alternatives in score tests of a fit."""
        return ()

    def moderator_tests(self, data: Observations) -> tuple[Term, ...]:
        """Effects that depend on further covariates, as alternatives in score tests of a fit."""
        return ()

    def edges(self, names: tuple[str, ...]) -> Array | None:
        """Probabilities of edges of the graph over the actions, where they are known.

        NaN where the graph is to be learned from the actions; None if the model has no graph.
        """
        return None

    def mechanisms(
        self, data: Observations, priors: Mapping[str, Mechanism] | None = None
    ) -> tuple[Mechanism, ...]:
        """Prior of each action's functions: from ``priors``, levels, or the model's default.

        Raises
        ------
        ModelError
            If an action with named levels has a prior for numbers.
        """
        mechanisms: list[Mechanism] = []
        for name, categories in zip(data.names, data.categories, strict=True):
            mechanism = (priors or {}).get(name)
            if categories is None:
                mechanism = mechanism or self.prior
            elif mechanism is None:
                straight = categories.numeric and isinstance(self.prior, Linear)
                shape = self.prior.shape if categories.numeric and categories.ordered else "free"
                levels = Levels(categories.ordered, shape=shape)
                mechanism = self.prior if straight else levels
            else:
                refuse_prior_of_numbers(f"action {name!r}", categories, mechanism)
            mechanisms.append(mechanism)
        return tuple(mechanisms)

    def shapes(self, data: Observations) -> dict[int, Shape]:
        """Shapes of the contributions of actions, by their positions; none in a regression."""
        return {}

    def bias_mechanisms(self, data: Observations) -> tuple[Mechanism, ...]:
        """Prior of each action's confounding bias; of a model without biases, of its functions."""
        return self.mechanisms(data)

    def decomposition(
        self,
        data: Observations,
        bases: Bases,
        terms: Sequence[Term],
        effects: RandomEffects | None = None,
    ) -> Decomposition:
        """Decomposition into these terms and an intercept.

        Raises
        ------
        ModelError
            If two terms have the same name, or there are too many coefficients.
        """
        centre, unit = _outcome_moments(data)
        mean, sd = (centre, 5 * unit) if self.intercept is None else self.intercept
        every = (Term("intercept", "intercept", None, (), CONSTANT, sd / unit, ALWAYS), *terms)
        label, count = Counter([term.name for term in every]).most_common(1)[0]
        if count > 1:
            raise ModelError(
                f"two terms would be called {label!r}; give each prior once, or rename an action"
            )
        decomposed = Decomposition(
            data.names, bases.coordinates, every, centre, unit, mean,
            data.categories, data.columns, effects, carryover=self.carryover,
        )  # fmt: skip
        if decomposed.size > MAX_COEFFICIENTS:
            raise ModelError(
                f"{len(data.names)} actions need {decomposed.size} coefficients, more than the "
                f"maximum of {MAX_COEFFICIENTS}; name fewer actions, give the graph ("
                f"{option('graph')}), so that each bias depends on few of them, or fit with "
                + option("prior", "linear")
            )
        return decomposed

    @abstractmethod
    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        """Whether data from ``regimes`` determine the mean outcome under mask ``target``."""

    def program(
        self,
        terms: Decomposition,
        matrix: "ArrayLike",
        relative_sd: "ArrayLike",
        outcome: "ArrayLike | None" = None,
        known: PseudoObservations | None = None,
        *,
        fixed: Mapping[str, float] | None = None,
        own_units: bool = False,
    ) -> None:
        """Generative NumPyro program: hyperparameters, coefficients, and outcomes of rows.

        NumPyro's sites are ``scale``, ``lengthscale``, ``noise_sd``, ``df``, ``weights``,
        ``coefficients``, ``outcome`` and ``known_outcome``.

        Parameters
        ----------
        terms : Decomposition
        matrix : array_like, shape (n, P)
            Basis functions of every term times its gate, ``terms.matrix(actions, intervened)``.
        relative_sd : array_like, shape (n,)
            Noise standard deviation of each row, relative to ``noise_sd``.
        outcome : array_like, shape (n,), optional
            Observed outcome. If omitted, the program draws the outcome.
        known : PseudoObservations, optional
            Further rows whose noise has a known standard deviation.
        fixed : mapping from term to float, optional
            Terms whose scale is fixed instead of sampled, with the prior standard deviation of
            their coefficients in units of ``noise_sd``.
        own_units : bool
            Whether the outcome is in its own units; by default it is on the scale on which the
            terms add up, minus ``terms.centre``.
        """
        # Results of a saved fit need no NumPyro, which takes long to import.
        import jax.numpy as jnp

        from bayes_intgen.models import program

        fixed = fixed or {}
        priors = terms.without(fixed).hyperpriors(self.noise_scale)
        coefficients, noise_sd = program.sample_coefficients(priors, terms, fixed)
        mean = jnp.asarray(matrix) @ coefficients
        link: Link = "identity"
        if own_units:
            mean, link = mean + terms.centre, self.link
        program.sample_outcome(self.noise, link, mean, noise_sd, relative_sd, outcome)
        if known is not None:
            program.sample_pseudo_observations(known, coefficients)


def _outcome_moments(data: Observations) -> tuple[float, float]:
    """Mean and standard deviation of the outcome of single units."""
    if data.weights is None:
        return float(data.outcome.mean()), float(data.outcome.std())
    shares = data.weights / data.weights.sum()
    mean = float(shares @ data.outcome)
    variance = float(shares @ (data.outcome - mean) ** 2)
    if data.within is not None:
        variance += float(data.within.sum() / data.weights.sum())
    return mean, float(np.sqrt(variance))
