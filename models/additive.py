"""The additive model of intervention generalisation.

Every outcome, in whatever regime, is

    Y = c + sum_k phi_k(a_k) + sum_k (1 - R_k) delta_k(a) + noise

with the unconfounded contributions phi_k and the confounding biases delta_k shared by all
regimes (Kekić et al. 2025, arXiv 2506.04945, for one intervention at a time; any mask
here).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.masks import Mask, is_identified
from bayes_intgen.models.base import (
    NOISE_SCALE,
    AnyMechanism,
    Model,
    Noise,
    Prior,
    SpreadName,
    as_mechanism,
    checked_noise,
)
from bayes_intgen.models.decomposition import candidates, decompose, finer_terms
from bayes_intgen.models.mechanisms.mechanism import LogNormal, Mechanism
from bayes_intgen.models.terms import Decomposition, Term


@dataclass(frozen=True)
class AdditiveModel(Model):
    """An additive model before it has seen data; build it with :func:`additive`.

    Attributes
    ----------
    unconfounded, bias : mapping from action to Mechanism
        Priors of single mechanisms.
    graph : mapping from action to its parents, or None
    """

    unconfounded: Mapping[str, AnyMechanism]
    bias: Mapping[str, AnyMechanism]
    graph: Mapping[str, tuple[str, ...]] | None

    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        for kind, priors in (("unconfounded", self.unconfounded), ("bias", self.bias)):
            for name in priors:
                if name not in data.names:
                    raise ModelError(
                        f"{kind} gives a prior for {name!r}, which is no action; the actions are "
                        f"{', '.join(map(repr, data.names))}"
                    )
        return decompose(data, *self._mechanisms(data), self.graph, self.intercept, rows)

    def candidates(self, data: Observations, rows: int | None = None) -> tuple[Term, ...]:
        return candidates(data, *self._mechanisms(data), self.graph, rows)

    def fit_tests(self, data: Observations, more: int = 1) -> tuple[Term, ...]:
        return finer_terms(data, *self._mechanisms(data), more)

    def _mechanisms(self, data: Observations) -> tuple[dict[str, Mechanism], dict[str, Mechanism]]:
        """Priors of unconfounded contributions and of biases."""
        return self.mechanisms(data, self.unconfounded), self.mechanisms(data, self.bias)

    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        return is_identified(regimes, target)


def additive(
    prior: Prior = "gp",
    graph: Mapping[str, Sequence[str]] | None = None,
    *,
    unconfounded: Mapping[str, Prior] | None = None,
    bias: Mapping[str, Prior] | None = None,
    noise: Noise = "gaussian",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> AdditiveModel:
    """An additive model with the given priors.

    Functions of a single action that are finer than those of its prior join a default fit where
    the data ask for them, if the prior is a ``GP`` or a ``Spline``.

    Parameters
    ----------
    prior : {"gp", "spline", "polynomial", "linear"} or a mechanism
        Prior of every unconfounded contribution and confounding bias: a name, or a
        ``GP``, ``Spline``, ``Polynomial``, ``Linear`` or ``Levels`` with settings of its own.
        Actions with two values, and columns of text, booleans or categories, have ``Levels``
        unless ``unconfounded`` or ``bias`` names another prior; under ``Linear``, two numbers
        have a straight line.
    graph : mapping from action to its parents, optional
        ``{"green": ["red"]}`` says that red moves green and nothing else moves anything.
        None: unknown, so the bias of an action may depend on every other action, by itself and
        in products with the action, under priors that shrink what the data do not support. It
        depends on two others together where the data ask for it.
    unconfounded, bias : mapping from action to prior, optional
        Priors of single mechanisms in place of ``prior``.
    noise : {"gaussian", "student_t"}
        Student-t noise is robust to outliers, but is sampled row by row and takes long.
    spread : {"fitted", "constant"}, optional
        Whether the noise's variance may depend on regime and actions; by default it may
        under Gaussian noise, and not under Student-t noise, whose outliers would decide it.
    noise_scale : LogNormal, optional
        Prior of the noise's standard deviation, in outcome standard deviations; by
        default its median is 0.5 and the sd of its logarithm 1.
    intercept : (mean, sd), optional
        Normal prior of the intercept in the outcome's units; by default the outcome's
        mean and five of its standard deviations.

    Returns
    -------
    AdditiveModel

    Raises
    ------
    ModelError
        On names that are not known.

    Examples
    --------
    >>> model = additive(prior="spline", graph={"green": ["red"]})
    >>> model.graph
    {'green': ('red',)}
    >>> additive(prior=bi.GP(kernel="matern32"), bias={"red": "linear"}).bias["red"].scale.median
    0.4
    """
    noise, spread, intercept = checked_noise(noise, spread, intercept)
    if isinstance(graph, Mapping):
        for child, parents in graph.items():
            if isinstance(parents, str):
                raise ModelError(f"graph[{child!r}] must be a list of actions, not a string")
    elif graph is not None:
        raise ModelError("graph must map each action to a list of its parents, or be None")
    return AdditiveModel(
        prior=as_mechanism(prior),
        noise=noise,
        spread=spread,
        noise_scale=noise_scale or NOISE_SCALE,
        intercept=intercept,
        unconfounded={name: as_mechanism(p) for name, p in (unconfounded or {}).items()},
        bias={name: as_mechanism(p) for name, p in (bias or {}).items()},
        graph=None if graph is None else {k: tuple(v) for k, v in graph.items()},
    )
