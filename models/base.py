"""Base class of all models: hyperpriors, noise, and the generative NumPyro program.

A subclass defines the terms of the mean (``decompose``). A default fit adapts the model to the data
before sampling, so that the sampled posterior differs from that of ``Model.program``:
:meth:`bayes_intgen.Posterior.program` returns the adapted program, and
docs/explanation/method.md ("The program and the sampled posterior") lists the differences.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.regimes import Mask
from bayes_intgen.models.carryover import Adstock
from bayes_intgen.models.laws import LAWS, Link, Noise, OutcomeLaw
from bayes_intgen.models.mechanisms.mechanism import LogNormal, Mechanism, Shape
from bayes_intgen.models.mechanisms.parametric import Levels, Linear
from bayes_intgen.models.mechanisms.smooth import Seasonal, Trend
from bayes_intgen.models.terms import Decomposition, PseudoObservations, Term
from bayes_intgen.text.messages import option

if TYPE_CHECKING:
    from jax.typing import ArrayLike

CovariateMechanism = Mechanism | Trend | Seasonal
SpreadName = Literal["fitted", "constant"]


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

    def fit_tests(self, data: Observations, refinement: int = 1) -> tuple[Term, ...]:
        """Finer functions of each action, as alternatives in score tests of a fit."""
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
