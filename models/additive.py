"""The additive model of intervention generalisation (Kekić et al. 2025, arXiv 2506.04945).

In every regime the outcome is

    Y = c + sum_k phi_k(a_k) + sum_(j<k) psi_jk(a_j, a_k) + sum_k (1 - R_k) delta_k(a) + noise

with unconfounded contributions phi_k, interactions psi_jk of the actions and confounding biases
delta_k that all regimes share. In the paper actions do not interact and one is set at a time; here
any mask R is allowed. Interactions of the actions are identified by the same combinations of
regimes as the contributions, because only the biases depend on the mask.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from bayes_intgen._arguments import items, mapping
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.graph import Graph, checked_graph, known_edges
from bayes_intgen.identification.masks import Mask, is_identified
from bayes_intgen.models.adjustment import Adjustment
from bayes_intgen.models.base import (
    AnyMechanism,
    CovariateMechanism,
    Model,
    Noise,
    Prior,
    SpreadName,
    as_mechanism,
    validated,
)
from bayes_intgen.models.decomposition import candidates, decompose, finer_pairs, finer_terms
from bayes_intgen.models.mechanisms.mechanism import LogNormal, Mechanism
from bayes_intgen.models.mechanisms.seasonal import Seasonal, Trend
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.text.messages import quoted, refuse_unknown_actions

CovariatePrior = Prior | Trend | Seasonal
Interactions = Literal["auto"] | Sequence[Sequence[str]] | None
OWN_PRIORS = "actions to priors"


@dataclass(frozen=True)
class AdditiveModel(Model):
    """Additive model, independent of data; build it with :func:`additive`.

    Attributes
    ----------
    unconfounded, bias : mapping from action to Mechanism
        Priors of single mechanisms.
    graph : mapping from action to its parents, "any", or None
    covariates : mapping from covariate to tuple of mechanisms, whose functions add up
    moderators : mapping from action to tuple of covariates
    groups : mapping from grouping to tuple of effects
        ``level``, and actions whose slopes differ between groups.
    interactions : "auto", tuple of pairs of actions, or None
        Pairs of actions that may interact, all of them under ``"auto"``, which adds those for which
        there is evidence; None for none.
    """

    unconfounded: Mapping[str, AnyMechanism]
    bias: Mapping[str, AnyMechanism]
    graph: Graph
    covariates: Mapping[str, tuple[CovariateMechanism, ...]] = field(default_factory=dict)
    moderators: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    interactions: Literal["auto"] | tuple[tuple[str, ...], ...] | None = None

    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        for kind, priors in (("unconfounded", self.unconfounded), ("bias", self.bias)):
            refuse_unknown_actions(priors, data.names, ModelError, f"{kind} has a prior for ")
        paired = (name for pair in self._pairs for name in pair)
        refuse_unknown_actions(paired, data.names, ModelError, "interactions: ")
        return decompose(
            data,
            *self._mechanisms(data),
            self.graph,
            self.intercept,
            rows,
            self._adjustment,
            self.prior,
            self._pairs,
        )

    def candidates(self, data: Observations, rows: int | None = None) -> tuple[Term, ...]:
        pairs = [] if self._pairs else self._possible_pairs(data)
        mechanisms = self._mechanisms(data)
        terms = candidates(data, *mechanisms, self.graph, rows, self._adjustment, self.prior, pairs)
        return (*terms, *self._finer_pairs(data, candidates_only=True))

    def fit_tests(self, data: Observations, refinement: int = 1) -> tuple[Term, ...]:
        finer = finer_terms(data, *self._mechanisms(data), refinement)
        return (*finer, *self._finer_pairs(data, refinement))

    def _finer_pairs(
        self, data: Observations, refinement: int = 1, candidates_only: bool = False
    ) -> tuple[Term, ...]:
        pairs = self._possible_pairs(data)
        own = self._mechanisms(data)
        return finer_pairs(data, *own, self.graph, pairs, refinement, candidates_only)

    def _possible_pairs(self, data: Observations) -> list[tuple[str, str]]:
        """Pairs of actions that may interact."""
        every = combinations(data.names, 2)
        return [pair for pair in every if self.allows_interaction(*pair)]

    def edges(self, names: tuple[str, ...]) -> Array | None:
        return None if self.graph == "any" else known_edges(names, self.graph)

    def _mechanisms(self, data: Observations) -> tuple[dict[str, Mechanism], dict[str, Mechanism]]:
        """Priors of unconfounded contributions and of biases."""
        return self.mechanisms(data, self.unconfounded), self.mechanisms(data, self.bias)

    def allows_interaction(self, one: str, other: str) -> bool:
        """Whether two actions may interact in this model."""
        if not isinstance(self.interactions, tuple):
            return self.interactions == "auto"
        return {one, other} in map(set, self.interactions)

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of actions whose interactions are in every fit."""
        if not isinstance(self.interactions, tuple):
            return ()
        return tuple((one, other) for one, other in self.interactions)

    @property
    def _adjustment(self) -> Adjustment:
        return Adjustment(self.covariates, self.moderators, self.groups)

    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        return is_identified(regimes, target)


def additive(
    prior: Prior = "gp",
    graph: Mapping[str, Sequence[str] | None] | Literal["any"] | None = None,
    *,
    unconfounded: Mapping[str, Prior] | None = None,
    bias: Mapping[str, Prior] | None = None,
    covariates: Mapping[str, CovariatePrior | Sequence[CovariatePrior]] | None = None,
    moderators: Mapping[str, Sequence[str]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    interactions: Interactions = "auto",
    noise: Noise = "gaussian",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> AdditiveModel:
    """Build an additive model.

    If the prior is a ``GP`` or a ``Spline``, a default fit adds finer functions of single actions
    by forward selection.

    Parameters
    ----------
    prior : {"gp", "spline", "polynomial", "linear"} or a mechanism
        Prior of every unconfounded contribution and confounding bias: a name, or a ``GP``,
        ``Spline``, ``Polynomial``, ``Linear`` or ``Levels`` with custom settings. Actions with two
        values, and columns of text, booleans or categories, get ``Levels`` unless ``unconfounded``
        or ``bias`` names another prior. Under ``Linear``, an action with two numbers gets a
        straight line.
    graph : mapping from action to its parents, "any", optional
        ``{"green": ["red"]}`` means that red moves green and there is no other dependence;
        ``{"green": None}`` that nothing is known of what moves green. By default nothing is known
        of any action, and the rows in which an action was set show which others it moves. The
        bias of an action is a function of its control variable given its likely parents.
        Functions of other actions are added by forward selection, unless these rows speak against
        the edge. ``"any"`` ignores what these rows show: all functions of other actions are then
        left to forward selection.
    unconfounded, bias : mapping from action to prior, optional
        Priors of single mechanisms in place of ``prior``.
    covariates : mapping from covariate to prior or sequence of priors, optional
        Priors of the functions of covariates, also ``Trend`` and ``Seasonal``; several of them add
        up. By default smooth functions of numbers, ``Levels`` of text, booleans and two values,
        and a trend with a yearly season of dates. Covariates and groups that move an action enter
        its bias through its control variable; forward selection adds other functions of covariates
        in a bias.
    moderators : mapping from action to covariates, optional
        ``{"tv": ["age"]}`` means that the contribution of tv may depend on age.
    groups : mapping from grouping to effects, optional
        ``{"region": ["level", "tv"]}`` means that regions differ in level and in the slope of tv.
        By default each grouping has a level.
    interactions : "auto", sequence of pairs of actions, or None
        Pairs of actions whose joint contribution is more than the sum of their own, in every
        regime. Under ``"auto"`` pairs are added by forward selection, with at most about thirty
        actions; the interactions of named pairs are in every fit, under a prior that shrinks them.
        Interactions of three actions are neither fitted nor tested.
    noise : {"gaussian", "student_t"}
        Student-t noise is robust to outliers. Its degrees of freedom are estimated and have no
        draws.
    spread : {"fitted", "constant"}, optional
        Whether the noise variance may depend on regime and actions. Default: ``"fitted"``.
    noise_scale : LogNormal, optional
        Prior of the noise standard deviation, in outcome standard deviations; by default with
        median 0.5 and ``sigma`` 1.
    intercept : (mean, sd), optional
        Normal prior of the intercept in the outcome's units; by default the outcome's mean and
        five times its standard deviation.

    Returns
    -------
    AdditiveModel

    Raises
    ------
    ModelError
        On unknown names.

    Examples
    --------
    >>> model = additive(prior="spline", graph={"green": ["red"]})
    >>> model.graph
    {'green': ('red',)}
    >>> additive(prior=bi.GP(kernel="matern32"), bias={"red": "linear"}).bias["red"].scale.median
    0.4
    """
    single = {
        name: {action: as_mechanism(p) for action, p in mapping(own, name, OWN_PRIORS).items()}
        for name, own in (("unconfounded", unconfounded), ("bias", bias))
    }
    return AdditiveModel(
        *validated(prior, noise, spread, noise_scale, intercept),
        unconfounded=single["unconfounded"],
        bias=single["bias"],
        graph=checked_graph(graph),
        covariates={
            name: _priors(own)
            for name, own in mapping(covariates, "covariates", "covariates to priors").items()
        },
        moderators=_lists("moderators", moderators),
        groups=_lists("groups", groups),
        interactions=_checked_pairs(interactions),
    )


def _checked_pairs(interactions: Any) -> Literal["auto"] | tuple[tuple[str, ...], ...] | None:
    """Validate pairs of actions; raises ModelError."""
    if interactions is None:
        return None
    if isinstance(interactions, str):
        if interactions == "auto":
            return "auto"
        raise ModelError(
            f'interactions must be "auto", None or pairs of actions, not {interactions!r}; '
            'write [("tv", "radio")]'
        )
    pairs = [
        items(pair, "a pair of interactions", "actions")
        for pair in items(interactions, "interactions", "pairs of actions")
    ]
    for pair in pairs:
        if not all(isinstance(name, str) for name in pair) or len({*pair}) != 2 or len(pair) != 2:
            raise ModelError(f"interactions: {quoted(pair)} must be two different actions")
    if len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise ModelError("interactions name a pair of actions twice")
    return tuple(map(tuple, pairs))


def _priors(priors: Any) -> tuple[CovariateMechanism, ...]:
    """Mechanisms of a covariate, from one prior or a sequence of them."""
    if isinstance(priors, list | tuple):
        return tuple(mechanism for prior in priors for mechanism in _priors(prior))
    return (priors if isinstance(priors, Trend | Seasonal) else as_mechanism(priors),)


def _lists(role: str, values: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """Validate a mapping from names to lists of names; raises ModelError, naming the argument."""
    lists = mapping(values, role, "names to lists of names").items()
    return {name: items(others, f"{role}[{name!r}]", "names") for name, others in lists}
