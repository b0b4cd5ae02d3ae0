"""Base class of all models: hyperpriors, noise, and the generative NumPyro program.

A subclass defines the terms of the mean (``decompose``). A default fit adapts the model to the data
before sampling, so that the sampled posterior differs from that of ``Model.program``:
:meth:`bayes_intgen.Posterior.program` returns the adapted program, and docs/method.md ("The program
and the sampled posterior") lists the differences.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from bayes_intgen._arguments import instance, items, one_of, real_number
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.masks import Mask
from bayes_intgen.models.hyperpriors import Hyperpriors
from bayes_intgen.models.laws import Link, OutcomeLaw, law_of_link
from bayes_intgen.models.mechanisms.gp import GP
from bayes_intgen.models.mechanisms.levels import Levels
from bayes_intgen.models.mechanisms.mechanism import LogNormal, Mechanism
from bayes_intgen.models.mechanisms.polynomial import Linear, Polynomial
from bayes_intgen.models.mechanisms.seasonal import Seasonal, Trend
from bayes_intgen.models.mechanisms.spline import Spline
from bayes_intgen.models.pseudo_observations import PseudoObservations
from bayes_intgen.models.terms import Decomposition, Term

if TYPE_CHECKING:
    from jax.typing import ArrayLike

PriorName = Literal["gp", "spline", "polynomial", "linear"]
AnyMechanism = GP | Spline | Polynomial | Linear | Levels
CovariateMechanism = AnyMechanism | Trend | Seasonal
Prior = PriorName | AnyMechanism
Noise = Literal["gaussian", "student_t"]
SpreadName = Literal["fitted", "constant"]

_PRIORS: dict[str, type[GP] | type[Spline] | type[Polynomial] | type[Linear]] = {
    "gp": GP,
    "spline": Spline,
    "polynomial": Polynomial,
    "linear": Linear,
}
# Default prior of the noise standard deviation, in outcome standard deviations.
NOISE_SCALE = LogNormal(median=0.5, sigma=1.0)


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
    """

    prior: AnyMechanism
    noise: Noise
    spread: SpreadName
    noise_scale: LogNormal
    intercept: tuple[float, float] | None
    link: Link = field(default="identity", kw_only=True)

    @property
    def law(self) -> type[OutcomeLaw]:
        """Law of outcomes that are numbers: all that depends on the link before a fit."""
        return law_of_link(self.link)

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
        """Known edges of the graph over the actions, as from :func:`known_edges`.

        NaN where the graph is to be learned from the actions; None if the model has no graph.
        """
        return None

    def mechanisms(
        self, data: Observations, priors: Mapping[str, AnyMechanism] | None = None
    ) -> dict[str, Mechanism]:
        """Prior of each action's functions: from ``priors``, levels, or the model's default.

        Raises
        ------
        ModelError
            If an action with named levels has a prior for numbers.
        """
        mechanisms: dict[str, Mechanism] = {}
        for name, categories in zip(data.names, data.categories, strict=True):
            mechanism = (priors or {}).get(name)
            if categories is None:
                mechanisms[name] = mechanism or self.prior
            elif mechanism is None:
                straight = categories.numeric and isinstance(self.prior, Linear)
                mechanisms[name] = self.prior if straight else Levels(categories.ordered)
            elif isinstance(mechanism, Levels) or categories.numeric:
                mechanisms[name] = mechanism
            else:
                raise ModelError(
                    f"action {name!r} has named levels ({categories.spelled()}), but "
                    f"{type(mechanism).__name__}() is for numbers; use bi.Levels(), or omit its "
                    "prior"
                )
        return mechanisms

    @abstractmethod
    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        """Whether data from ``regimes`` determine the mean outcome under mask ``target``."""

    def hyperpriors(self, terms: Decomposition) -> Hyperpriors:
        """Priors of all hyperparameters and coefficients, in the outcome's units."""
        return terms.hyperpriors(self.noise_scale)

    def program(
        self,
        terms: Decomposition,
        functions: "ArrayLike",
        gates: "ArrayLike",
        relative_sd: "ArrayLike",
        outcome: "ArrayLike | None" = None,
        known: PseudoObservations | None = None,
        *,
        fixed: Mapping[str, float] | None = None,
        centre: float = 0.0,
        link: Link = "identity",
    ) -> None:
        """Generative NumPyro program: hyperparameters, coefficients, and outcomes of rows.

        Parameters
        ----------
        terms : Decomposition
        functions : array_like, shape (n, P)
            Basis functions of every term, ``terms.functions(actions)``.
        gates : array_like, shape (n, number of terms)
            Gate of every term in every row, ``terms.gates(intervened)``.
        relative_sd : array_like, shape (n,)
            Noise standard deviation of each row, relative to ``noise_sd``.
        outcome : array_like, shape (n,), optional
            Observed outcome minus ``terms.centre``, or in its own units if ``centre`` is
            ``terms.centre``. If omitted, the program draws the outcome.
        known : PseudoObservations, optional
            Further rows whose noise has a known standard deviation.
        fixed : mapping from term to float, optional
            Terms whose scale is fixed instead of sampled, with the prior standard deviation of
            their coefficients in units of ``noise_sd``.
        centre : float
            Origin of the outcome: zero, or ``terms.centre`` for the outcome's own units.
        link : {"identity", "log"}
            Under ``"log"`` the outcome is the exponential of what the terms add up to.
        """
        # Results of a saved fit need no NumPyro, which takes long to import.
        from bayes_intgen.models.program import draw_or_condition

        draw_or_condition(
            self,
            terms,
            functions,
            gates,
            relative_sd,
            outcome,
            known,
            fixed=fixed or {},
            centre=centre,
            link=link,
        )


def as_mechanism(prior: Prior) -> AnyMechanism:
    """Look up a mechanism by name; mechanisms pass through.

    Raises
    ------
    ModelError
        On an unknown name.
    """
    if isinstance(prior, AnyMechanism):
        return prior
    if not isinstance(prior, str) or prior not in _PRIORS:
        raise ModelError(
            f"unknown prior {prior!r}; choose {', '.join(map(repr, _PRIORS))} or a mechanism"
        )
    return _PRIORS[prior]()


def validated(
    prior: Prior,
    noise: Noise,
    spread: SpreadName | None,
    noise_scale: LogNormal | None,
    intercept: tuple[float, float] | None,
) -> tuple[AnyMechanism, Noise, SpreadName, LogNormal, tuple[float, float] | None]:
    """Validate the fields of a model, in their order, and fill in defaults.

    Raises
    ------
    ModelError
        On unknown names, or an intercept without a positive standard deviation.
    """
    one_of(noise, "noise", get_args(Noise))
    name: SpreadName = "fitted" if spread is None else spread
    one_of(name, "spread", get_args(SpreadName))
    scale = NOISE_SCALE if noise_scale is None else noise_scale
    instance(scale, LogNormal, "noise_scale", "LogNormal(0.5, 1.0)", ModelError)
    if intercept is not None:
        pair = items(intercept, "intercept", "two numbers: mean and sd")
        if len(pair) != 2:
            raise ModelError(f"intercept must be (mean, sd), not {intercept!r}")
        mean, sd = (real_number(value, "intercept") for value in pair)
        if not sd > 0:
            raise ModelError("intercept must be (mean, sd) with a positive sd")
        intercept = mean, sd
    return as_mechanism(prior), noise, name, scale, intercept


def checked_model(model: Any) -> Model:
    """Validate an argument ``model``."""
    if not isinstance(model, Model):
        raise ModelError(
            f"model must be a Model, not {type(model).__name__}; build one with "
            "bayes_intgen.models.additive"
        )
    return model
