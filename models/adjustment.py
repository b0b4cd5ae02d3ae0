"""Terms of covariates and groups, which adjust for observed causes of the outcome.

    E[Y | a, x, g, R] = ... + sum_c gamma_c(x_c) + sum_k psi_k(a_k, x_c) + b_g + s_g a_k

Functions of covariates are centred over the observational rows, and so are the levels of groups
that occur under several masks. The terms then average zero over these rows, so that predictions
without covariates are standardised to them (the g-formula). Levels of groups that occur under one
mask only are not centred: their average and the level of a bias are told apart by the prior alone,
that groups are exchangeable.

Covariates and groups that move an action enter its bias through its control variable
(:func:`control_terms`).
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis, Constant, GroupIndicators, LinearBasis
from bayes_intgen.basis.combined import (
    ConcatenatedBasis,
    KarhunenLoeveBasis,
    PastActions,
    TensorProductBasis,
)
from bayes_intgen.basis.control import CONTROL, ControlBasis, ControlVariable
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.regimes import groups_under_one_mask, rest_on_exchangeability
from bayes_intgen.models.base import (
    CONSTANT,
    Bases,
    CovariateMechanism,
    Function,
    Model,
    refuse_prior_of_numbers,
    unit_rows,
)
from bayes_intgen.models.mechanisms.mechanism import (
    MARGIN_SIZE,
    PAIR_ORDER,
    SCALE,
    Column,
    Component,
    LogNormal,
    Mechanism,
    marginal_basis_size,
    pairwise,
)
from bayes_intgen.models.mechanisms.parametric import Levels
from bayes_intgen.models.mechanisms.smooth import YEAR, Seasonal, Trend
from bayes_intgen.models.terms import (
    ALWAYS,
    Decomposition,
    RandomEffects,
    Term,
    Where,
)
from bayes_intgen.text.messages import option, refuse_unknown_actions, unknown_action, unknown_name

# Number of functions of a numeric covariate under the default prior.
COVARIATE_SIZE = 8
# Maximum number of covariates of which each two may interact: a hundred pairs take seconds.
MAX_COVARIATES_OF_PAIRS = 15
# Minimum range of dates, in years, for a yearly season by default.
MIN_YEARS = 1.25
# Scale of slopes of groups and moderators, in outcome standard deviations.
SLOPE_SCALE = LogNormal(median=0.2, sigma=1.5)
# Initial variance of random effects, over that of the noise.
START_RATIO = 0.1
LEVEL = "level"
# Variance of a direction of usual actions, relative to the largest, below which it is left out.
MIN_USUAL = 1e-3


@dataclass(frozen=True, eq=False)
class Adjustment:
    """Terms of covariates and groups for specific data, and their priors.

    Attributes
    ----------
    data : Observations
    bases : Bases
        Bases of the actions, to which marginal bases of covariates are added.
    prior : Mechanism
        Default prior of functions of numeric covariates.
    contributions : sequence of Mechanism, length K
        Prior of each action's contribution, for products with covariates.
    covariates : mapping from covariate to tuple of mechanisms
        The function of a covariate is the sum of theirs. Covariates that are not named have the
        default prior.
    moderators : mapping from action to tuple of covariates
    groups : mapping from grouping to tuple of str
        ``level`` or names of actions whose slopes differ; groupings that are not named have levels.

    Raises
    ------
    ModelError
        On names that are not in the data.
    """

    data: Observations
    bases: Bases
    prior: Mechanism
    contributions: Sequence[Mechanism]
    covariates: Mapping[str, tuple[CovariateMechanism, ...]] = field(default_factory=dict)
    moderators: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def shares(self) -> Array:
        """Share of each row in the population."""
        return population_shares(self.data)

    def __post_init__(self) -> None:
        columns, actions = self.data.columns, self.data.names
        moderators = chain.from_iterable(self.moderators.values())
        for role, own, names in (
            ("covariates", [*self.covariates, *moderators], columns.names),
            ("groups", [*self.groups], columns.groups),
        ):
            for name in own:
                if name not in names:
                    unknown = unknown_name(
                        "the model names", name, names, f"{role} of the data are"
                    )
                    command = shlex.join([f"--{role}", name])
                    remedy = option(f"{role}=[{name!r}]", command=command)
                    raise ModelError(f"{unknown}; read it with {remedy}")
        for name, levels in zip(columns.names, columns.categories, strict=True):
            for prior in self.covariates.get(name, ()):
                if levels is not None:
                    refuse_prior_of_numbers(f"covariate {name!r}", levels, prior)
        refuse_unknown_actions(self.moderators, actions, ModelError, "moderators: ")
        for grouping, effects in self.groups.items():
            for name in effects:
                if name != LEVEL and name not in actions:
                    raise ModelError(
                        f"groups[{grouping!r}]: {unknown_action(name, actions)}; use 'level' or "
                        "actions"
                    )

    def terms(self) -> list[Term]:
        """Terms of covariates and groups."""
        return [*self._covariate_terms(), *self._moderator_terms(), *self._group_terms()]

    def random_effects(self) -> RandomEffects | None:
        """Effects of the grouping with more groups than columns, if there is one."""
        columns, count = self.data.columns, len(self.data.names)
        fine = columns.fine_grouping
        if fine is None or not self._effects(columns.every[fine]):
            return None
        grouping = columns.every[fine]
        names, bases, inputs = [], [], []
        for effect in self._effects(grouping):
            k = count + fine if effect == LEVEL else self.data.names.index(effect)
            basis: Basis = Constant() if effect == LEVEL else self._line(k)
            suffix = "" if effect == LEVEL else f" | {effect}"
            names += [f"{grouping}{suffix}"] * basis.size
            bases.append(basis)
            inputs.append(k)
        ratio = (START_RATIO,) * len(names)
        return RandomEffects(count + fine, tuple(names), tuple(bases), tuple(inputs), ratio)

    def bias_candidates(self, biases: Sequence[Function]) -> Iterator[Term]:
        """Dependence of each bias on each covariate, for forward selection."""
        for k, bias in enumerate(biases):
            for c, covariate in enumerate(self.data.columns.names):
                own, other = self.bases.margin(bias.prior, k), self._margin(c)
                f = bias._replace(name=f"delta({self.data.names[k]} | {covariate})")
                for component in pairwise(bias.prior, own, other, self.bases.rows):
                    yield f.term(component, *((k, self._input(c))[i] for i in component.inputs))

    def pair_candidates(self) -> Iterator[Term]:
        """Interactions of covariates, for forward selection."""
        columns, population = self.data.columns, self.shares > 0
        if len(columns.names) > MAX_COVARIATES_OF_PAIRS:
            return
        for c, d in combinations(range(len(columns.names)), 2):
            products = TensorProductBasis((self._margin(c), self._margin(d)), PAIR_ORDER)
            values = self.data.covariates[population][:, [c, d]]
            basis = CentredBasis(products, self.shares[population] @ products.matrix(values))
            name = f"gamma({columns.names[c]}, {columns.names[d]})"
            f = Function(name, "covariate", None, self.prior)
            component = Component("", basis, self.prior.interaction, inputs=(0, 1))
            yield f.term(component, self._input(c), self._input(d))

    def other_moderators(self) -> Iterator[Term]:
        """Dependence of the effect of each action that was set on the covariates it lacks."""
        others = dict[str, tuple[str, ...]]()
        for name, was_set in zip(self.data.names, self.data.intervened.any(axis=0), strict=True):
            own = self.moderators.get(name, ())
            others[name] = tuple(c for c in self.data.columns.names if was_set and c not in own)
        for term in replace(self, moderators=others)._moderator_terms():
            yield replace(term, gate=Where(term.inputs[:1], were_set=True))

    def finer_terms(self, refinement: int) -> Iterator[Term]:
        """Finer functions of numeric covariates without a prior of their own, also of dates."""
        columns = self.data.columns
        for c, (name, levels) in enumerate(zip(columns.names, columns.categories, strict=True)):
            component = self.prior.finer(self._column(c), refinement)
            if levels is None and name not in self.covariates and component is not None:
                yield self._term(c, replace(component, basis=self._centred(component.basis, c)))

    def _covariate_terms(self) -> Iterator[Term]:
        for c in range(len(self.data.columns.names)):
            priors = self._priors(c)
            if not priors:
                yield self._term(c, Component("", self._margin(c, COVARIATE_SIZE), SCALE))
            for component in chain(*(prior.main_effect(self._column(c)) for prior in priors)):
                yield self._term(c, replace(component, basis=self._centred(component.basis, c)))

    def _term(self, c: int, component: Component) -> Term:
        """Term of a component of the function of a covariate."""
        f = Function(f"gamma({self.data.columns.names[c]})", "covariate", None, self.prior)
        return f.term(component, self._input(c))

    def _input(self, c: int) -> int:
        """Position of a covariate or group among the inputs, after the actions."""
        return len(self.data.names) + c

    def _column(self, c: int) -> Column:
        return Column.of(self.bases.units.covariates[:, c], self.bases.rows)

    def _priors(self, c: int) -> tuple[CovariateMechanism, ...]:
        """Mechanisms whose sum is the function of a covariate; none for the default of numbers."""
        name, levels = self.data.columns.names[c], self.data.columns.categories[c]
        if name in self.covariates:
            return self.covariates[name]
        if name in self.data.columns.dates:
            years = np.ptp(self.data.covariates[:, c]) / YEAR
            return (Trend(), Seasonal()) if years > MIN_YEARS else (Trend(),)
        return () if levels is None else (Levels(levels.ordered),)

    def _moderator_terms(self) -> Iterator[Term]:
        for action, covariates in self.moderators.items():
            k = self.data.names.index(action)
            for name in covariates:
                c = self.data.columns.names.index(name)
                prior = self.contributions[k]
                factors = (self.bases.margin(prior, k), self._margin(c))
                products = TensorProductBasis(factors, PAIR_ORDER)
                component = Component("", products, prior.interaction, inputs=(0, 1))
                f = Function(f"psi({action} | {name})", "moderator", k, prior)
                yield f.term(component, k, self._input(c))

    def _group_terms(self) -> Iterator[Term]:
        columns, intervened = self.data.columns, self.data.intervened
        groups = zip(columns.groups, columns.labels, strict=True)
        for g, (grouping, labels) in enumerate(groups, len(columns.names)):
            if len(labels) > MAX_GROUP_COLUMNS:
                continue
            basis: Basis = GroupIndicators(len(labels))
            alone = groups_under_one_mask(self.data.covariates[:, g], intervened)
            if not rest_on_exchangeability(*alone):
                basis = self._centred(basis, g)
            for effect in self._effects(grouping):
                if effect == LEVEL:
                    f = Function(f"level({grouping})", "group", None, self.prior)
                    yield f.term(Component("", basis, SCALE), self._input(g))
                else:
                    k = self.data.names.index(effect)
                    own = self._line(k)
                    # Groups are as smooth as each other, and ordered levels are not.
                    products = TensorProductBasis((own, basis), own.size)
                    f = Function(f"slope({effect} | {grouping})", "group", k, self.contributions[k])
                    component = Component("", products, SLOPE_SCALE, inputs=(0, 1))
                    yield f.term(component, k, self._input(g))

    def _effects(self, grouping: str) -> tuple[str, ...]:
        return self.groups.get(grouping, (LEVEL,))

    def _line(self, k: int) -> Basis:
        """Straight line in an action, or contrasts of its levels."""
        if self.data.categories[k] is not None:
            return self.bases.margin(self.contributions[k], k)
        column = self.bases.actions[:, [k]]
        return LinearBasis.of(column, Coordinate.of(column[:, 0]))

    def _margin(self, c: int, size: int = MARGIN_SIZE) -> CentredBasis:
        """Centred marginal basis of a covariate."""
        key = (c, size, self.prior, self._priors(c))
        margins = self.bases.covariate_margins
        if key not in margins:
            margins[key] = self._new_margin(c, size)
        return margins[key]

    def _new_margin(self, c: int, size: int) -> CentredBasis:
        column, levels = self._column(c), self.data.columns.categories[c]
        mechanism = self.prior if levels is None else Levels(levels.ordered)
        basis = mechanism.marginal_basis(column, size)
        for season in self._priors(c):
            if isinstance(season, Seasonal):
                basis = ConcatenatedBasis(basis, season.main_effect(column)[0].basis)
        return self._centred(basis, c)

    def _centred(self, basis: Basis, c: int) -> CentredBasis:
        """Centre functions of a covariate or group over the population."""
        population = self.shares > 0
        values = self.data.covariates[population, c][:, None]
        return CentredBasis(basis, self.shares[population] @ basis.matrix(values))


def control_terms(
    data: Observations,
    model: Model,
    terms: Decomposition,
    inputs: tuple[int, ...],
    control: ControlVariable,
    rows: int,
) -> tuple[Decomposition, tuple[Term, ...]]:
    """Replace the functions of an action in its bias by functions of its control variable.

    They average zero given the observed causes, of which the control variable is independent: so
    does the bias if hidden causes shift the outcome by the same amount at every action
    (docs/explanation/method.md, "The mean of a bias"). Products of the control variable with the
    action, and with each parent, are candidates of forward selection.

    Parameters
    ----------
    data : Observations
        Rows that determine the bases.
    model : Model
    terms : Decomposition
    inputs : tuple of int
        The action, and its observed causes.
    control : ControlVariable
    rows : int
        Number of rows in all.
    """
    data, k, size = unit_rows(data), inputs[0], marginal_basis_size(rows)
    not_set = ~data.intervened[:, k]
    of_rows = data.inputs[not_set][:, list(inputs)]
    values = control.matrix(of_rows)
    mechanisms = model.bias_mechanisms(data)
    # Residuals of levels are numbers.
    smooth = model.prior if isinstance(mechanisms[k], Levels) else mechanisms[k]
    column, order = Column.of(values[:, 0], rows), smooth.pair_order(rows)
    margin = smooth.marginal_basis(column, size)
    f = Function(f"delta({terms.names[k]})", "bias", k, smooth, Where((k,)), of_period=True)

    def product(position: int) -> Term:
        """Products of the control variable with one of the inputs."""
        i = inputs[position]
        other = Column(of_rows[:, [position]], terms.coordinates[i], rows)
        factors = margin, mechanisms[i].marginal_basis(other, size)
        basis = ControlBasis(control, TensorProductBasis(factors, order), (CONTROL, position))
        label = "control" if i == k else f"control, {terms.names[i]}"
        return f.term(Component(label, basis, smooth.interaction), *inputs)

    others = (
        term
        for term in terms.terms
        if not (term.role == "bias" and term.inputs == (k,))
        or isinstance(term.component.basis, PastActions)
    )
    alone = (
        f.term(replace(component, basis=ControlBasis(control, component.basis)), *inputs)
        for component in smooth.main_effect(column)
    )
    positions = [p for p, i in enumerate(inputs) if order and i < len(terms.names)]
    return replace(terms, terms=(*others, *alone)), tuple(map(product, positions))


def usual_terms(data: Observations, terms: Decomposition) -> tuple[Term, ...]:
    """Parts of each covariate and grouping in the usual values of actions, as functions of it.

    Functions and levels in the outcome are shrunken. What is shrunken too much of a cause that also
    moves an action would be taken for the action's effect: regularisation-induced confounding,
    against which the estimated mean of the treatment becomes a regressor (Hahn, Murray and
    Carvalho, Bayesian Analysis 2020; for groups Mundlak, Econometrica 1978).

    Parameters
    ----------
    data : Observations
        Rows over which the functions of one input get unit variance, and no correlation.
    terms : Decomposition
        With control variables, whose regressions have these parts.
    """
    data = unit_rows(data)
    every = (_usual_term(data, i, parts) for i, parts in sorted(_usual_parts(terms).items()))
    # A part may be zero throughout.
    return tuple(term for term in every if term.component.basis.size)


class _UsualPart(NamedTuple):
    """Functions of a covariate or grouping in the usual value of an action."""

    action: int
    which: int
    basis: Basis
    coefficients: Array


def _usual_parts(terms: Decomposition) -> dict[int, list[_UsualPart]]:
    """Functions of each covariate and grouping alone in the usual actions."""
    controls = {
        term.inputs: term.component.basis.control
        for term in terms.terms
        if isinstance(term.component.basis, ControlBasis)
    }
    parts: dict[int, list[_UsualPart]] = {}
    for inputs, control in controls.items():
        each = zip(control.bases, control.arguments, control.rows_of_bases, strict=True)
        for which, (basis, positions, rows) in enumerate(each):
            i = inputs[positions[0]]
            if len(positions) == 1 and i >= len(terms.names):
                part = _UsualPart(inputs[0], which, basis, control.coefficients[rows])
                parts.setdefault(i, []).append(part)
    return parts


def usual_slopes(terms: Decomposition, coefficients: Array, k: int, size: int) -> tuple[float, ...]:
    """Slopes of the outcome in the parts of the usual value of action k, given coefficients.

    One for each of the ``size`` bases of its control variable, zero if this is no such part. Empty
    if the outcome depends on no part.
    """
    usual = {term.inputs[0]: term for term in terms.terms if term.role == "usual"}
    slopes = np.zeros(size)
    for i, parts in _usual_parts(terms).items():
        if i not in usual:
            continue
        basis, own = usual[i].component.basis, coefficients[terms.columns[usual[i].name]]
        assert isinstance(basis, KarhunenLoeveBasis)
        ends = np.cumsum([part.basis.size for part in parts])[:-1]
        # What the directions of the term give to each part is a multiple of the part.
        for part, along in zip(parts, np.split(basis.weights @ own, ends), strict=True):
            square = part.coefficients @ part.coefficients
            if part.action == k and square:
                slopes[part.which] = part.coefficients @ along / square
    return tuple(slopes.tolist()) if slopes.any() else ()


def _usual_term(data: Observations, i: int, parts: Sequence[_UsualPart]) -> Term:
    """Term of a covariate or grouping, given its parts."""
    basis = reduce(ConcatenatedBasis, [part.basis for part in parts])
    weights = block_diag(*[part.coefficients[:, None] for part in parts])
    values = basis.matrix(data.inputs[:, [i]]) @ weights
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(values.T)))
    kept = variances > MIN_USUAL * variances[-1]
    directions = KarhunenLoeveBasis(basis, weights @ axes[:, kept] / np.sqrt(variances[kept]))
    name = f"usual({data.columns.every[i - len(data.names)]})"
    # One standard deviation of the outcome, which hardly shrinks it.
    component = Component("", directions, CONSTANT.scale)
    return Term(name, "usual", None, (i,), component, 1.0, ALWAYS)


def population_shares(data: Observations) -> Array:
    """Share of each row in the population of the observational rows, or of all without them.

    Rows count as often as the units of which they are means.
    """
    weights = population_weights(data, bool((~data.intervened.any(axis=1)).any()))
    return np.asarray(weights / weights.sum())


def population_weights(data: Observations, observational: bool) -> Array:
    """Number of units of each row; zero where an action was set, if ``observational``."""
    weights = np.ones(len(data)) if data.weights is None else data.weights
    return np.asarray(weights * ~data.intervened.any(axis=1) if observational else weights)
