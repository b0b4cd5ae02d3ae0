"""Regression of the functions of biases on the observed causes of their actions."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.graph import LIKELY_EDGE
from bayes_intgen.identification.masks import masks_of
from bayes_intgen.inference.pilot.cells import numbers_of_rows
from bayes_intgen.inference.pilot.dependence import functions_of_action, log_bayes_factor, span_of
from bayes_intgen.models.conditional_mean import ConditionalMean
from bayes_intgen.models.terms import Decomposition, Term

# Total order of products of functions of two parents, and rows per function.
PRODUCT_ORDER, ROWS_PER_FUNCTION = 3, 10
# Maximum number of rows, which determine a mean far better than the bias itself is known.
MAX_ROWS = 20_000
# Singular values, relative to the largest, below which functions are combinations of others.
MIN_SINGULAR_VALUE = 1e-6

# A basis and its arguments.
Functions = tuple[Basis, tuple[int, ...]]


def with_conditional_means(data: Observations, terms: Decomposition) -> Decomposition:
    """Take functions of actions in biases relative to their means given observed causes.

    Earlier means of the terms are replaced.

    Parameters
    ----------
    data : Observations
    terms : Decomposition
        With the probabilities of edges; without them parents are unknown.
    """
    count = len(terms.names)
    if terms.conditional_means:
        terms = replace(terms, conditional_means=())
    unknown = np.zeros((count, count))
    likely = (unknown if terms.parents is None else terms.parents) > LIKELY_EDGE
    numbers = numbers_of_rows(data)
    means = [
        _conditional_mean(data, terms, numbers, k, np.flatnonzero(own).tolist())
        for k, own in enumerate(likely)
    ]
    present = tuple(own for own in means if own is not None)
    return replace(terms, conditional_means=present) if present else terms


def _conditional_mean(
    data: Observations, terms: Decomposition, numbers: Array, k: int, likely: list[int]
) -> ConditionalMean | None:
    """Mean of the functions of the bias of action k; None without causes or enough rows."""
    margins = {
        term.inputs[0]: term.component.basis
        for term in terms.terms
        if term.role == "bias" and term.action == k and len(term.inputs) == 1
    }
    singles = [j for j in likely if j in margins]
    parents: list[Functions] = [(margins[j], (j,)) for j in singles]
    products: list[Functions] = [
        (TensorProductBasis((margins[i], margins[j]), PRODUCT_ORDER), (i, j))
        for i, j in combinations(singles, 2)
    ]
    rows = np.flatnonzero(~data.intervened[:, k])
    rows = rows[:: max(1, -(-len(rows) // MAX_ROWS))]
    number = numbers[rows].sum()
    covariates = _relevant_covariates(data, terms, numbers, k, parents, rows)
    for causes in ([*parents, *products, *covariates], [*parents, *covariates], parents):
        count = sum(basis.size for basis, _ in causes)
        if causes and number >= ROWS_PER_FUNCTION * (1 + count):
            bases, inputs = zip(*causes, strict=True)
            blank = ConditionalMean(bases, inputs, (), ())
            return _regression(data, terms, blank, _own_terms(terms, k, singles), rows)
    return None


def _relevant_covariates(
    data: Observations,
    terms: Decomposition,
    numbers: Array,
    k: int,
    parents: Sequence[Functions],
    rows: NDArray[np.intp],
) -> list[Functions]:
    """Functions of the covariates on which action k is likely to depend, given its parents.

    Others would add the noise of their coefficients to the functions of the action. The covariate
    with the most evidence is added, and the others are compared given those that were added.
    """
    remaining: list[Functions] = [
        (term.component.basis, term.inputs) for term in terms.terms if term.role == "covariate"
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


def _own_terms(terms: Decomposition, k: int, parents: list[int]) -> list[Term]:
    """Terms of a bias that depend on the own action, and on no others than its parents."""
    return [
        term
        for term in terms.terms
        if term.role == "bias"
        and term.action == k
        and k in term.inputs
        and set(term.inputs) <= {k, *parents}
    ]


def _regression(
    data: Observations,
    terms: Decomposition,
    blank: ConditionalMean,
    own: list[Term],
    rows: NDArray[np.intp],
) -> ConditionalMean:
    """Least squares, weighted by the numbers of units in rows."""
    inputs = data.inputs[rows]
    root = np.ones(len(rows)) if data.weights is None else np.sqrt(data.weights[rows])
    regressors = blank.functions_of_causes(Evaluation(inputs)).T * root[:, None]
    responses = replace(terms, terms=tuple(own)).functions(inputs) * root[:, None]
    coefficients = np.linalg.lstsq(regressors, responses, rcond=MIN_SINGULAR_VALUE)[0]
    ends = np.cumsum([term.component.basis.size for term in own])[:-1]
    return replace(
        blank,
        terms=tuple(term.name for term in own),
        coefficients=tuple(np.split(coefficients, ends, axis=1)),
    )
