"""Specification of models by their users: builders, which validate arguments and fill in defaults.

The multiplicative model has positive outcomes whose logarithm is additive:

    log Y = c + sum_k phi_k(a_k) + sum_(j<k) psi_jk(a_j, a_k) + sum_k (1 - R_k) delta_k(a) + noise
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from itertools import chain
from typing import Any, Literal, get_args

from bayes_intgen._arguments import instance, items, mapping, one_of, real_number
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.graph import checked_graph
from bayes_intgen.models.additive_model import AdditiveModel
from bayes_intgen.models.base import CovariateMechanism, Model, SpreadName
from bayes_intgen.models.carryover import Adstock
from bayes_intgen.models.laws import Noise
from bayes_intgen.models.mechanisms.mechanism import LogNormal, Mechanism, refuse_shape
from bayes_intgen.models.mechanisms.parametric import Linear, Polynomial
from bayes_intgen.models.mechanisms.smooth import GP, Seasonal, Spline, Trend
from bayes_intgen.models.regression import RegressionModel
from bayes_intgen.text.messages import option, quoted

PriorName = Literal["gp", "spline", "polynomial", "linear"]
Prior = PriorName | Mechanism
CovariatePrior = Prior | Trend | Seasonal
Interactions = Literal["auto"] | Sequence[Sequence[str]] | None
# Prior, noise, variance function, scale of the noise and intercept of a model.
Settings = tuple[Mechanism, Noise, SpreadName, LogNormal, tuple[float, float] | None]
OWN_PRIORS = "actions to priors"

_PRIORS: dict[str, type[GP] | type[Spline] | type[Polynomial] | type[Linear]] = {
    "gp": GP,
    "spline": Spline,
    "polynomial": Polynomial,
    "linear": Linear,
}
# Default prior of the noise standard deviation, in outcome standard deviations.
NOISE_SCALE = LogNormal(median=0.5, sigma=1.0)


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
    alike: Sequence[Sequence[str]] = (),
    carryover: Mapping[str, Adstock] | None = None,
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
        ``Spline``, ``Polynomial``, ``Linear`` or ``Levels`` with custom settings, or a
        :class:`Mechanism` of your own (docs/how-to/extend.md). Actions with two
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
        left to forward selection, which misses weak ones: where actions move each other, intervals
        may be too short.
    unconfounded, bias : mapping from action to prior, optional
        Priors of single mechanisms in place of ``prior``.
    covariates : mapping from covariate to prior or sequence of priors, optional
        Priors of the functions of covariates, also ``Trend`` and ``Seasonal``; several of them add
        up. By default smooth functions of numbers, ``Levels`` of text, booleans and two values,
        and a trend with a yearly season of dates. Covariates and groups that move an action enter
        its bias through its control variable; forward selection adds interactions of two
        covariates, and other functions of covariates in a bias.
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
    alike : sequence of groups of actions, optional
        ``[["tv", "radio"]]`` means that the contributions of tv and radio, which have the same
        unit, are a common function plus deviations of each, whose estimated scales say how alike
        they are. The more alike, the more the rows of one tell of the other.
    carryover : mapping from action to Adstock, optional
        ``{"tv": bi.Adstock()}`` means that tv acts for some periods, at a rate to be estimated.
        Rows need a ``time``, and a ``unit`` where several share one. Answers are about actions
        that are held for as long as they act.
    noise : {"gaussian", "student_t"}
        Student-t noise is robust to outliers. Its degrees of freedom are estimated and have no
        draws. A fit raises ModelError if more than half of the outcomes are one value.
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
    for action, own in single["bias"].items():
        refuse_shape(own, f"bias[{action!r}]")
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
        alike=_checked_groups(alike),
        carryover=_adstocks(carryover),
    )


def with_parameters_of[**P, R](
    other: Callable[P, Any],
) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Decorate a function that passes all arguments on to another, to have its parameters."""

    def decorate(function: Callable[..., R]) -> Callable[P, R]:
        named: Any = function
        named.__signature__ = signature(other)
        return function

    return decorate


@with_parameters_of(additive)
def multiplicative(*args: Any, **settings: Any) -> AdditiveModel:
    """Build a model of positive outcomes that multiply: revenue, durations, concentrations.

    The logarithm of the outcome is additive. Effects, outcomes, pictures and scores are of the
    outcome itself: ``joint_effect`` is E[Y | do(a)], not the exponential of a mean of logarithms,
    and ``posterior.ratio`` gives relative effects. Contributions of single actions
    (``posterior.mechanisms``) are of the logarithm.

    Parameters
    ----------
    prior, graph, unconfounded, bias, covariates, moderators, groups, interactions, alike,
    carryover, spread
        As in :func:`additive`, for the logarithm of the outcome.
    noise : {"gaussian"}
        Under Student-t noise the outcome would have no mean.
    noise_scale : LogNormal, optional
        Prior of the noise standard deviation, in standard deviations of the logarithm.
    intercept : (mean, sd), optional
        Normal prior of the intercept of the logarithm.

    Returns
    -------
    AdditiveModel
        With ``link="log"``. A fit raises DataError if an outcome is not positive, and ModelError
        for lift tests and for rows that are means of several units.

    Raises
    ------
    ModelError
        On unknown names, Student-t noise, or a concave shape.

    Examples
    --------
    >>> multiplicative(graph={"green": ["red"]}).link
    'log'
    """
    model = additive(*args, **settings)
    if model.noise == "student_t":
        raise ModelError(
            "under Student-t noise a multiplicative outcome has no mean; "
            + option("use noise='gaussian'", command="omit --noise")
        )
    if any("concave" in own.shape for own in (model.prior, *model.unconfounded.values())):
        raise ModelError(
            "a multiplicative model cannot be concave: only the logarithm of its outcome adds up, "
            "and may bend otherwise; use the shape 'increasing'"
        )
    return replace(model, link="log")


def pooled(
    prior: Prior = "gp",
    *,
    noise: Noise = "gaussian",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> RegressionModel:
    """Build a single regression on all rows, for E[Y | a] in place of E[Y | do(a)].

    On observational rows alone it is the observational estimator. On rows that set all actions it
    is the estimator one would use if such rows were available.

    Parameters
    ----------
    prior, noise, spread, noise_scale, intercept
        As in :func:`additive`.

    Raises
    ------
    ModelError
        On unknown names, or a prior with a shape.

    Examples
    --------
    >>> pooled("polynomial").prior.degree
    3
    """
    settings = validated(prior, noise, spread, noise_scale, intercept)
    refuse_shape(settings[0], "a regression")
    return RegressionModel(*settings, by_regime=False)


@with_parameters_of(pooled)
def saturated(*args: Any, **settings: Any) -> RegressionModel:
    """Build separate regressions in each regime, combined with the weights of the regimes.

    The model assumes nothing about how the regimes differ, and therefore serves as the alternative
    when the additive model is checked. For a regime without data it predicts the combination of its
    regressions that is the regime's mean under the additive model.

    Parameters
    ----------
    prior, noise, spread, noise_scale, intercept
        As in :func:`additive`.

    Raises
    ------
    ModelError
        As in :func:`pooled`.

    Examples
    --------
    >>> saturated("polynomial").prior.degree
    3
    """
    return replace(pooled(*args, **settings), by_regime=True)


def as_mechanism(prior: Prior) -> Mechanism:
    """Look up a mechanism by name; mechanisms pass through.

    Raises
    ------
    ModelError
        On an unknown name.
    """
    if isinstance(prior, Mechanism):
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
) -> Settings:
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
    pairs = _sets_of_actions("interactions", interactions, "pair")
    if len({*map(frozenset, pairs)}) < len(pairs):
        raise ModelError("interactions name a pair of actions twice")
    return pairs


def _checked_groups(alike: Any) -> tuple[tuple[str, ...], ...]:
    """Validate groups of actions that are alike; raises ModelError."""
    groups = _sets_of_actions("alike", alike, "group")
    for name, count in Counter(chain.from_iterable(groups)).items():
        if count > 1:
            raise ModelError(f"alike: {name!r} is named twice; an action is in one group")
    return groups


def _sets_of_actions(role: str, values: Any, of: str) -> tuple[tuple[str, ...], ...]:
    """Validate pairs or groups of different actions."""
    sets = tuple(
        items(own, f"a {of} of {role}", "actions")
        for own in items(values, role, f"{of}s of actions")
    )
    for own in sets:
        named = all(isinstance(name, str) for name in own)
        enough = named and (len(own) > 1 if of == "group" else len(own) == len({*own}) == 2)
        if not enough:
            many = "two or more" if of == "group" else "two different"
            raise ModelError(f"{role}: {quoted(own)} must be {many} actions")
    return sets


def _adstocks(carryover: Any) -> dict[str, Adstock]:
    """Validate a mapping from actions to adstocks; raises ModelError."""
    own = mapping(carryover, "carryover", "actions to bi.Adstock()")
    return {
        name: instance(adstock, Adstock, f"carryover[{name!r}]", "bi.Adstock()", ModelError)
        for name, adstock in own.items()
    }


def _priors(priors: Any) -> tuple[CovariateMechanism, ...]:
    """Mechanisms of a covariate, from one prior or a sequence of them."""
    if isinstance(priors, list | tuple):
        return tuple(mechanism for prior in priors for mechanism in _priors(prior))
    if isinstance(priors, Trend | Seasonal):
        return (priors,)
    refuse_shape(mechanism := as_mechanism(priors), "a function of a covariate")
    return (mechanism,)


def _lists(role: str, values: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """Validate a mapping from names to lists of names; raises ModelError, naming the argument."""
    lists = mapping(values, role, "names to lists of names").items()
    return {name: items(others, f"{role}[{name!r}]", "names") for name, others in lists}


# Model of a fit without one.
DEFAULT_MODEL = additive()
