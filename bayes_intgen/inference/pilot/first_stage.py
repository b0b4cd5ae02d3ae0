"""First stage: terms of a fit, whose biases are functions of control variables."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis
from bayes_intgen.basis.combined import RateError, TensorProductBasis
from bayes_intgen.basis.control import (
    ControlBasis,
    ControlError,
    ControlVariable,
    NormalScores,
    ResidualBasis,
)
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.identification.graph import LIKELY_EDGE
from bayes_intgen.identification.regimes import masks_of
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.pilot.action_regressions import (
    MAX_ROWS,
    Causes,
    control_variables,
    regressions,
    rows_of,
)
from bayes_intgen.inference.pilot.graph_evidence import (
    PRODUCT_ORDER,
    functions_of_action,
    log_bayes_factor,
    numbers_of_rows,
    some_rows,
    span_of,
    with_parents,
)
from bayes_intgen.inference.pilot.residuals import independent_share
from bayes_intgen.inference.pilot.student_t import clipped
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.adjustment import (
    control_terms,
    population_weights,
    usual_slopes,
    usual_terms,
)
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal
from bayes_intgen.models.terms import ALWAYS, Decomposition, Term, Where

# Rows per function of causes, whose regressions are penalised.
ROWS_PER_FUNCTION = 3
# Step of the derivative of a contribution, in spreads of the action.
RATE_STEP = 0.05
# Maximum number of candidate columns of unlikely parents, finer functions included: those of 13
# actions.
MAX_UNLIKELY = 20_000

# A basis and its arguments, among actions, covariates and groups.
Functions = tuple[Basis, tuple[int, ...]]


def with_observed_causes(
    sample: Observations,
    model: Model,
    terms: Decomposition,
    candidates: Sequence[Term],
    data: Rows | None = None,
    progress: bool = False,
    usual_actions: bool = True,
) -> tuple[Decomposition, tuple[Term, ...]]:
    """Learn the graph, and make biases functions of control variables, or of parents.

    Functions in a bias of actions that are less likely parents than without rows are no candidates
    if there are many of them.

    Parameters
    ----------
    sample : Observations
        Rows by which the causes are chosen.
    model : Model
    terms : Decomposition
    candidates : sequence of Term
    data : Rows, optional
        All rows, which determine the regressions; by default the sample.
    progress : bool
    usual_actions : bool
        Whether the parts of covariates and groups in the usual actions become terms.
    """
    terms = with_parents(sample, model, terms)
    unlikely = {term.name for term in candidates if not terms.is_plausible(term)}
    if sum(t.component.basis.size for t in candidates if t.name in unlikely) > MAX_UNLIKELY:
        candidates = [term for term in candidates if term.name not in unlikely]
    unknown = np.zeros((len(terms.names), len(terms.names)))
    likely = (unknown if terms.parents is None else terms.parents) > LIKELY_EDGE
    have_causes = likely.any() or len(sample.columns)
    if not have_causes or not any(term.role == "bias" for term in terms.terms):
        return terms, tuple(candidates)
    rows = sample if data is None else data
    # Levels without an order have no control variable: functions of the parents take its place.
    parents = [np.flatnonzero(own).tolist() for own in likely]
    unordered = {k: own for k, own in enumerate(parents) if own and not terms.is_ordered(k)}
    of_parents = model.functions_of_parents(sample, unordered, len(rows)) if unordered else ()
    names, terms = {term.name for term in of_parents}, terms.and_terms(of_parents)
    candidates = [term for term in candidates if term.name not in names]
    numbers, causes, without_order = numbers_of_rows(sample), dict[int, Causes](), list[Causes]()
    series = sample if sample.time is None else rows.opening
    # An action may depend on finer functions, too, and on products of covariates.
    finer: list[Functions] = [
        (own.component.basis, own.inputs)
        for own in candidates
        if own.role == "unconfounded" and len(own.inputs) == 1
    ]
    observed: list[Functions] = [
        (term.component.basis, term.inputs)
        for term in (*terms.terms, *(own for own in candidates if own.role == "covariate"))
        if term.role in ("covariate", "group") and term.action is None
    ]
    for k in range(len(likely)):
        every = [*observed, *(own for own in finer if own[1][0] in parents[k])]
        own = _causes(sample, series, terms, every, numbers, k, parents[k])
        if own is not None and terms.is_ordered(k):
            causes[k] = own
        elif own is not None:
            without_order.append(own)
    terms = _less_means(terms, without_order, rows, progress)
    controls = control_variables(causes, sample, rows, progress) if causes else {}
    for k, control in controls.items():
        inputs = causes[k].inputs
        terms, products = control_terms(sample, model, terms, inputs, control, len(rows))
        candidates = (*candidates, *products)
    if usual_actions and len(sample.columns):
        terms = terms.and_terms(usual_terms(sample, terms))
    return terms, tuple(candidates)


def _less_means(
    terms: Decomposition, causes: Sequence[Causes], data: Rows, progress: bool
) -> Decomposition:
    """Take functions of actions in their biases less their means given observed causes."""

    def of_bias(own: Causes) -> list[Term]:
        k, inputs = own.inputs[0], {*own.inputs}
        every = (term for term in terms.terms if term.role == "bias" and term.action == k)
        return [term for term in every if k in term.inputs and inputs.issuperset(term.inputs)]

    def products(batch: Observations) -> list[Array]:
        """Products of functions of causes with themselves and those of the actions."""
        out, evaluation = [], Evaluation(batch.inputs)
        for own in causes:
            functions, _, units = rows_of(own, batch)
            free = ~batch.intervened[:, own.inputs[0]]
            each = (evaluation(t.component.basis, t.inputs) for t in of_bias(own))
            columns = np.hstack([functions, np.vstack(list(each)).T[free]])
            out.append((columns * units[:, None]).T @ columns)
        return out

    def merge(before: list[Array], after: list[Array]) -> list[Array]:
        return [one + other for one, other in zip(before, after, strict=True)]

    if not causes:
        return terms
    residuals = dict[str, Term]()
    cross = data.joined.map_reduce(products, merge, "Regressions of actions", progress)
    for own, sums in zip(causes, cross, strict=True):
        means, end = regressions(sums, own.control.bases), 0
        of_causes = own.control.bases, own.control.arguments
        for term in of_bias(own):
            basis, at = term.component.basis, tuple(map(own.inputs.index, term.inputs))
            start, end = end, end + basis.size
            residual = ResidualBasis(basis, at, *of_causes, means[:, start:end])
            component = replace(term.component, basis=residual)
            residuals[term.name] = replace(term, inputs=own.inputs, component=component)
    return replace(terms, terms=tuple(residuals.get(t.name, t) for t in terms.terms))


def _causes(
    data: Observations,
    series: Observations,
    terms: Decomposition,
    observed: Sequence[Functions],
    numbers: Array,
    k: int,
    parents: list[int],
) -> Causes | None:
    """Functions of the likely observed causes of an action; None without causes or enough rows."""
    bases = {j: functions_of_action(data.actions[:, [j]], numbers, terms, j)[0] for j in parents}
    singles: list[Functions] = [(basis, (j,)) for j, basis in bases.items()]
    products: list[Functions] = [
        (TensorProductBasis((bases[i], bases[j]), PRODUCT_ORDER), (i, j))
        for i, j in combinations(parents, 2)
    ]
    rows = np.flatnonzero(~data.intervened[:, k])
    some = some_rows(rows, MAX_ROWS)
    share, others = 1.0, list[Functions]()
    if series.time is not None:
        share = _independent_share(series, terms, k, [*singles, *observed])
    if observed:
        others = _relevant(data, terms, observed, numbers, k, singles, some)
    number = numbers[rows].sum()
    # Those with the least evidence are the last.
    fewer = ([*singles, *others[:count]] for count in range(len(others), -1, -1))
    for functions in ([*singles, *products, *others], *fewer):
        count = sum(basis.size for basis, _ in functions)
        if functions and number >= ROWS_PER_FUNCTION * (1 + count):
            inputs = (k, *dict.fromkeys(i for _, own in functions for i in own))
            of_causes = tuple(basis for basis, _ in functions)
            arguments = tuple(tuple(map(inputs.index, own)) for _, own in functions)
            weights = np.ones(len(rows)) if data.weights is None else data.weights[rows]
            scores = NormalScores.of(data.actions[rows, k], weights)
            zero, scale = np.zeros(1 + count), terms.coordinates[k] if scores is None else scores
            start = ControlVariable(scale, of_causes, arguments, zero, zero, zero[:, None])
            return Causes(inputs, start, share)
    return None


def _independent_share(
    data: Observations,
    terms: Decomposition,
    k: int,
    causes: Sequence[Functions],
) -> float:
    """Share of rows that count as independent, by the action without what all causes explain.

    It is for coefficients and their errors. Which causes matter is decided by all rows: those of a
    needless one shrink, and a missing one leaves the control variable wrong.
    """
    own = data.take(np.flatnonzero(~data.intervened[:, k]))
    if not len(own):
        return 1.0
    evaluation, action = Evaluation(own.inputs), terms.coordinates[k](own.actions[:, k])
    columns = [np.ones(len(own)), *(evaluation(*each).T for each in causes)]
    span = span_of(np.column_stack(columns), np.ones(len(own)))
    return independent_share(own, action - span @ (span.T @ action))


def _relevant(
    data: Observations,
    terms: Decomposition,
    observed: Sequence[Functions],
    numbers: Array,
    k: int,
    parents: Sequence[Functions],
    rows: NDArray[np.intp],
) -> list[Functions]:
    """Functions of observed causes on which an action is likely to depend, given its parents.

    Others would add the noise of their coefficients. The one with the most evidence is added, and
    the others are compared given those that were added.
    """
    remaining = list(observed)
    if not len(rows) or np.ptp(data.actions[rows, k]) == 0:
        return []
    evaluation, own = Evaluation(data.inputs[rows]), data.actions[np.ix_(rows, [k])]
    features = functions_of_action(own, numbers[rows], terms, k)[1].matrix(own)
    masks, regime = masks_of(data.intervened[rows])
    causes = [np.eye(len(masks))[regime], *(evaluation(*parent).T for parent in parents)]
    unit = None if data.fine_group is None else data.fine_group[rows]
    relevant: list[Functions] = []
    while remaining:
        span = span_of(np.column_stack(causes), numbers[rows])
        evidence = [
            log_bayes_factor(evaluation(*each).T, features, span, numbers[rows], unit)
            for each in remaining
        ]
        if max(evidence) <= 0:
            break
        relevant.append(remaining.pop(int(np.argmax(evidence))))
        causes.append(evaluation(*relevant[-1]).T)
    return relevant


def control_errors(fit: Mode) -> tuple[Term, ...]:
    """Terms for the errors of control variables, from a fit that takes these as known."""
    terms, mean = fit.terms, fit.conditional.mean
    of_action = dict[int, list[Term]]()
    for term in terms.terms:
        if isinstance(term.component.basis, ControlBasis) and term.action is not None:
            of_action.setdefault(term.action, []).append(term)
    errors = []
    for k, own in of_action.items():
        bases = tuple(b for t in own if isinstance(b := t.component.basis, ControlBasis))
        coefficients = tuple(mean[terms.columns[term.name]] for term in own)
        slopes = usual_slopes(terms, mean, k, len(bases[0].control.bases))
        basis = ControlError(bases, coefficients, slopes)
        # The scale is fixed.
        component = Component("", basis, LogNormal(1.0, 1.0))
        name = f"delta({terms.names[k]}) control error"
        gate = ALWAYS if basis.slopes else Where((k,))
        sd = 1 / terms.unit
        errors.append(Term(name, "bias", k, own[0].inputs, component, sd, gate, of_period=True))
    return tuple(errors)


def rate_errors(fit: Mode) -> tuple[Term, ...]:
    """Terms for the errors of rates of carry-over, from a fit that takes these as known."""
    terms, mean, errors = fit.terms, fit.conditional.mean, []
    for name, adstock in terms.carryover.items():
        k = terms.names.index(name)
        own = [t for t in terms.summands if t.role == "unconfounded" and t.inputs == (k,)]
        if not adstock.sd or not own:
            continue
        basis = RateError(
            tuple(term.component.basis for term in own),
            tuple(mean[terms.columns[term.name]] for term in own),
            RATE_STEP * terms.coordinates[k].spread,
        )
        component = Component("", basis, LogNormal(1.0, 1.0))
        label = f"phi({name}) rate error"
        errors.append(Term(label, "unconfounded", k, (k,), component, 1 / terms.unit, ALWAYS))
    return tuple(errors)


def first_terms(
    data: Rows,
    sample: Observations,
    model: Model,
    terms: Decomposition | None,
    settings: SamplerSettings,
) -> tuple[Decomposition, tuple[Term, ...]]:
    """Terms of the first fit, and candidates for more, with centres and means over all rows."""
    if terms is None:
        # Outliers would widen the unit of all priors.
        typical = clipped(sample) if model.noise == "student_t" else sample
        terms = model.decompose(typical, len(data))
    candidates: tuple[Term, ...] = ()
    if settings.simplify:
        considered = filter(settings.techniques.considers, model.candidates(sample, len(data)))
        candidates = tuple(considered)
    if len(sample) < len(data):
        terms, candidates = _recentred(terms, candidates, data, settings.progress)
    if not settings.techniques.control_variables:
        return with_parents(sample.this_period, model, terms), candidates
    usual_actions, own = settings.techniques.usual_actions, sample.this_period
    terms, candidates = with_observed_causes(
        own, model, terms, candidates, data.this_period, settings.progress, usual_actions
    )
    # Products with control variables are candidates only where rows select terms.
    return (terms, candidates) if settings.simplify else (terms.and_terms(candidates), ())


def _recentred(
    terms: Decomposition, candidates: tuple[Term, ...], data: Rows, progress: bool
) -> tuple[Decomposition, tuple[Term, ...]]:
    """Centre functions of covariates and groups over the observational rows of all data.

    Predictions without covariates are then averages over exactly these rows, of which the terms
    were made from a sample.
    """
    # Distinct centred bases, with their inputs: one for a factor, two for a pair of covariates.
    every: dict[CentredBasis, list[int]] = {}
    for term in (*terms.terms, *candidates):
        basis, inputs = term.component.basis, list(term.inputs)
        if isinstance(basis, TensorProductBasis):
            pairs = zip(basis.factors, inputs, strict=False)
            every |= {factor: [k] for factor, k in pairs if isinstance(factor, CentredBasis)}
        elif isinstance(basis, CentredBasis):
            every[basis] = inputs
    if not every:
        return terms, candidates
    observational = (False,) * len(data.names) in data.regimes

    def sums(batch: Observations) -> Array:
        """Weighted sums of all functions over the population, and of the weights."""
        weights, inputs = population_weights(batch, observational), batch.inputs
        of_bases = [weights @ basis.basis.matrix(inputs[:, own]) for basis, own in every.items()]
        return np.concatenate([*of_bases, [weights.sum()]])

    total = data.map_reduce(sums, np.add, "Averages of covariates", progress)
    ends = np.cumsum([basis.size for basis in every])
    means = np.split(total[:-1] / total[-1], ends[:-1])
    centred: dict[Basis, Basis] = {
        basis: replace(basis, centres=own) for basis, own in zip(every, means, strict=True)
    }

    def moved(term: Term) -> Term:
        basis = term.component.basis
        if isinstance(basis, TensorProductBasis):
            factors = tuple(centred.get(factor, factor) for factor in basis.factors)
            basis = TensorProductBasis(factors, basis.order)
        return replace(term, component=replace(term.component, basis=centred.get(basis, basis)))

    terms = replace(terms, terms=tuple(map(moved, terms.terms)))
    return terms, tuple(map(moved, candidates))
