"""First stage: regression of each action on its observed causes, for its control variable."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.control import ControlBasis, ControlError, ControlVariable
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.identification.graph import LIKELY_EDGE
from bayes_intgen.identification.masks import masks_of
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.pilot.cells import numbers_of_rows
from bayes_intgen.inference.pilot.dependence import functions_of_action, log_bayes_factor, span_of
from bayes_intgen.models import Model
from bayes_intgen.models.additive import AdditiveModel
from bayes_intgen.models.decomposition import control_terms
from bayes_intgen.models.gates import WhereNotSet
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal
from bayes_intgen.models.terms import Decomposition, Term

# Total order of products of functions of two parents, and rows per function.
PRODUCT_ORDER, ROWS_PER_FUNCTION = 3, 10
# Maximum number of rows for the choice of covariates.
MAX_ROWS = 20_000
# Iterations of the variances of the regression's coefficients.
ITERATIONS = 50
# Variance of coefficients, relative to that of the action, below which their functions are absent.
MIN_VARIANCE = 1e-8
# Share of the total variance of a control variable's error in directions that are left out.
NEGLIGIBLE = 1e-3

# A basis and its arguments.
Functions = tuple[Basis, tuple[int, ...]]


def with_control_variables(
    sample: Observations, model: Model, terms: Decomposition, data: Rows, progress: bool
) -> Decomposition:
    """Make the bias of each action with likely observed causes a function of it and its control.

    Parameters
    ----------
    sample : Observations
        Rows by which the causes are chosen.
    model : Model
    terms : Decomposition
        With the probabilities of edges; without them parents are unknown.
    data : Rows
        All rows, which determine the regressions.
    progress : bool
    """
    if not isinstance(model, AdditiveModel):
        return terms
    count = len(terms.names)
    unknown = np.zeros((count, count))
    likely = (unknown if terms.parents is None else terms.parents) > LIKELY_EDGE
    numbers = numbers_of_rows(sample)
    causes = {
        k: _causes(sample, terms, numbers, k, np.flatnonzero(own).tolist())
        for k, own in enumerate(likely)
        if _has_order(terms, k)
    }
    blank = {
        k: _preliminary(sample, terms, k, functions) for k, functions in causes.items() if functions
    }
    controls = {k: control for k, control in blank.items() if control is not None}
    if not controls:
        return terms
    cross = data.map_reduce(
        partial(_cross_products, controls), _merge, "Regressions of actions", progress
    )
    mechanisms = model.mechanisms(sample, model.bias)
    for (k, (inputs, control)), products in zip(controls.items(), cross, strict=True):
        fit = _regression(products, _blocks(control))
        if fit is not None:
            shift = np.log(fit.variance) / 2
            log_sd = control.log_sd + shift * (np.arange(len(control.log_sd)) == 0)
            final = replace(
                control,
                coefficients=fit.coefficients,
                root=fit.root,
                log_sd=log_sd,
                low=control.low + shift,
                high=control.high + shift,
            )
            mechanism = mechanisms[terms.names[k]]
            terms = control_terms(
                sample, terms, k, inputs, final, mechanism, model.prior, len(data)
            )
    return terms


def _has_order(terms: Decomposition, k: int) -> bool:
    """Whether larger values of an action mean more of it: numbers, ordered and two levels."""
    levels = terms.categories[k]
    return levels is None or levels.numeric or levels.ordered or len(levels.labels) == 2


def _causes(
    data: Observations, terms: Decomposition, numbers: Array, k: int, parents: list[int]
) -> list[Functions]:
    """Functions of the likely observed causes of an action."""
    bases = {j: functions_of_action(data.actions[:, [j]], terms, j)[0] for j in parents}
    singles: list[Functions] = [(basis, (j,)) for j, basis in bases.items()]
    products: list[Functions] = [
        (TensorProductBasis((bases[i], bases[j]), PRODUCT_ORDER), (i, j))
        for i, j in combinations(parents, 2)
    ]
    rows = np.flatnonzero(~data.intervened[:, k])
    others = _relevant(data, terms, numbers, k, singles, rows[:: max(1, -(-len(rows) // MAX_ROWS))])
    number = numbers[rows].sum()
    for causes in ([*singles, *products, *others], [*singles, *others], singles):
        count = sum(basis.size for basis, _ in causes)
        if causes and number >= ROWS_PER_FUNCTION * (1 + count):
            return causes
    return []


def _relevant(
    data: Observations,
    terms: Decomposition,
    numbers: Array,
    k: int,
    parents: Sequence[Functions],
    rows: NDArray[np.intp],
) -> list[Functions]:
    """Functions of covariates and groups on which an action is likely to depend, given its parents.

    Others would add the noise of their coefficients. The one with the most evidence is added, and
    the others are compared given those that were added.
    """
    remaining: list[Functions] = [
        (term.component.basis, term.inputs)
        for term in terms.terms
        if term.role in ("covariate", "group") and term.action is None
    ]
    if not remaining or not len(rows):
        return []
    evaluation, own = Evaluation(data.inputs[rows]), data.actions[np.ix_(rows, [k])]
    features = functions_of_action(own, terms, k)[1].matrix(own)
    masks, regime = masks_of(data.intervened[rows])
    causes = [np.eye(len(masks))[regime], *(evaluation(*parent).T for parent in parents)]
    unit = None if data.unit is None else data.unit[rows]
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


def _preliminary(
    sample: Observations, terms: Decomposition, k: int, functions: list[Functions]
) -> tuple[tuple[int, ...], ControlVariable] | None:
    """Control variable of an action from a sample, and its inputs; None if causes explain nothing.

    The logarithm of squared residuals has the same functions as the mean.
    """
    inputs = (k, *dict.fromkeys(i for _, own in functions for i in own))
    bases, arguments = zip(*functions, strict=True)
    count = 1 + sum(basis.size for basis in bases)
    control = ControlVariable(
        terms.coordinates[k],
        bases,
        tuple(tuple(inputs.index(i) for i in own) for own in arguments),
        np.zeros(count),
        np.zeros((count, 0)),
        np.zeros(count),
        0.0,
        0.0,
    )
    blocks = _blocks(control)
    rows = sample.take(~sample.intervened[:, k])
    values = rows.inputs[:, list(inputs)]
    of_causes = control.functions_of_causes(values)
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    z = control.coordinate(values[:, 0])

    def cross(response: Array) -> Array:
        columns = np.column_stack([of_causes, response])
        return (columns.T * weights) @ columns

    fit = _regression(cross(z), blocks)
    if fit is None:
        return None
    import os
    squares = (z - of_causes @ fit.coefficients) ** 2
    spread = None
    if terms.categories[k] is None and len(np.unique(z)) > len(z) / 2 and os.environ.get("SPREAD","1")=="1":
        spread = _regression(cross(np.log(squares + 1e-4 * fit.variance)), blocks)
    if spread is not None:
        log_sd = spread.coefficients / 2
        log_sd[0] -= np.average(of_causes @ log_sd, weights=weights)
        fitted = of_causes @ log_sd
        control = replace(control, log_sd=log_sd, low=float(fitted.min()), high=float(fitted.max()))
    return inputs, control


def _blocks(control: ControlVariable) -> NDArray[np.int_]:
    """Position of the basis of each function of causes."""
    return np.repeat(np.arange(len(control.bases)), [basis.size for basis in control.bases])


def _cross_products(
    controls: dict[int, tuple[tuple[int, ...], ControlVariable]], batch: Observations
) -> list[Array]:
    """Weighted cross products of a constant, the functions of causes, and the action's coordinate.

    Rows count as often as the units of which they are means.
    """
    every = []
    for k, (inputs, control) in controls.items():
        rows = ~batch.intervened[:, k]
        values = batch.inputs[rows][:, list(inputs)]
        of_causes = control.functions_of_causes(values)
        weights = control.sd(of_causes) ** -2.0
        if batch.weights is not None:
            weights = weights * batch.weights[rows]
        columns = np.column_stack([of_causes, control.coordinate(values[:, 0])])
        every.append(np.vstack([(columns.T * weights) @ columns, np.full(columns.shape[1], rows.sum())]))
    return every


def _merge(before: list[Array], after: list[Array]) -> list[Array]:
    return [one + other for one, other in zip(before, after, strict=True)]


class _Regression(NamedTuple):
    """Penalised regression: coefficients, root of their covariance, and noise variance."""

    coefficients: Array
    root: Array
    variance: float


def _regression(cross: Array, blocks: NDArray[np.int_]) -> _Regression | None:
    """Regression with a variance of coefficients per block, by the fixed points of MacKay (1992).

    The constant has a flat prior.
    """
    rows = cross[0, 0]
    if len(cross) > cross.shape[1]:
        cross = cross[:-1] * (cross[-1, 0] / rows)
        rows = cross[0, 0]
    xx, xy, yy = cross[:-1, :-1], cross[:-1, -1], cross[-1, -1]
    variance = yy / rows - (xy[0] / rows) ** 2
    if variance <= 0:
        return None
    total = variance
    of_blocks = np.full(blocks.max() + 1, total)
    sizes = np.bincount(blocks)
    for _ in range(ITERATIONS):
        precision = xx / variance
        precision[np.arange(1, len(xx)), np.arange(1, len(xx))] += 1 / of_blocks[blocks]
        factor = np.linalg.cholesky(precision + 1e-10 * np.diag(np.diag(precision)))
        root = np.linalg.inv(factor).T
        covariance = root @ root.T
        mean = covariance @ xy / variance
        spent = sizes - np.bincount(blocks, np.diag(covariance)[1:]) / of_blocks
        squares = np.bincount(blocks, mean[1:] ** 2)
        of_blocks = np.maximum(squares / np.maximum(spent, 1e-9), MIN_VARIANCE * total)
        left = yy - 2 * mean @ xy + mean @ xx @ mean
        variance = max(left / max(rows - 1 - spent.sum(), 1.0), 1e-12 * total)
    if (of_blocks <= MIN_VARIANCE * total).all():
        return None
    # Principal axes of the error over the rows.
    values, vectors = np.linalg.eigh(root.T @ xx @ root / rows)
    present = np.cumsum(values) > NEGLIGIBLE * values.sum()
    return _Regression(mean, root @ vectors[:, present], float(variance))


def control_errors(posterior: MarginalPosterior, sites: dict[str, Array]) -> tuple[Term, ...]:
    """Terms for the errors of the control variables, from a fit that takes these as known."""
    terms = posterior.terms
    mean, of_action = posterior.conditional(sites).mean, dict[int, list[Term]]()
    for term in terms.terms:
        if isinstance(term.component.basis, ControlBasis) and term.action is not None:
            of_action.setdefault(term.action, []).append(term)
    out = []
    for k, own in of_action.items():
        basis = ControlError(
            tuple(t.component.basis for t in own if isinstance(t.component.basis, ControlBasis)),
            tuple(mean[terms.columns[t.name]] for t in own),
        )
        component = Component("", basis, LogNormal(1.0, 1.0))
        name = f"delta({terms.names[k]}) control error"
        out.append(Term(name, "bias", k, own[0].inputs, component, 1 / terms.unit, WhereNotSet(k)))
    return tuple(out)
