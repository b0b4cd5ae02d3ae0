"""Regression of the functions of biases on the observed causes of their actions."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.identification.graph import LIKELY_EDGE
from bayes_intgen.identification.masks import masks_of
from bayes_intgen.inference.pilot.cells import numbers_of_rows
from bayes_intgen.inference.pilot.dependence import functions_of_action, log_bayes_factor, span_of
from bayes_intgen.models.conditional_mean import ConditionalMean
from bayes_intgen.models.terms import Decomposition, Term

# Total order of products of functions of two parents, and rows per function.
PRODUCT_ORDER, ROWS_PER_FUNCTION = 3, 10
# Maximum number of rows for the choice of covariates.
MAX_ROWS = 20_000
# Eigenvalues of cross products, relative to the largest, below which functions are combinations of
# others.
MIN_EIGENVALUE = 1e-12

# A basis and its arguments.
Functions = tuple[Basis, tuple[int, ...]]


def with_conditional_means(
    sample: Observations, terms: Decomposition, data: Rows | None = None, progress: bool = False
) -> Decomposition:
    """Take functions of actions in biases relative to their means given observed causes.

    Earlier means of the terms are replaced.

    Parameters
    ----------
    sample : Observations
        Rows by which the causes are chosen.
    terms : Decomposition
        With the probabilities of edges; without them parents are unknown.
    data : Rows, optional
        All rows, which determine the means. The more rows, the better biases are known, and the
        better their means must be. By default the sample.
    progress : bool
    """
    count = len(terms.names)
    if terms.conditional_means:
        terms = replace(terms, conditional_means=())
    unknown = np.zeros((count, count))
    likely = (unknown if terms.parents is None else terms.parents) > LIKELY_EDGE
    numbers = numbers_of_rows(sample)
    of_actions = (
        _regression(sample, terms, numbers, k, np.flatnonzero(own).tolist())
        for k, own in enumerate(likely)
    )
    regressions = [each for each in of_actions if each is not None]
    if not regressions:
        return terms
    cross = (sample if data is None else data).map_reduce(
        partial(_cross_products, terms, regressions), _merge, "Means of biases", progress
    )
    return replace(terms, conditional_means=tuple(map(_conditional_mean, regressions, cross)))


class _Regression(NamedTuple):
    """Regression of functions of a bias on functions of the observed causes of its action.

    Attributes
    ----------
    action : int
    blank : ConditionalMean
        Without coefficients.
    own : tuple of Term
        Terms of the bias that depend on the action.
    """

    action: int
    blank: ConditionalMean
    own: tuple[Term, ...]


def _regression(
    data: Observations, terms: Decomposition, numbers: Array, k: int, likely: list[int]
) -> _Regression | None:
    """Regression of the functions of the bias of action k; None without causes or enough rows."""
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
    number = numbers[rows].sum()
    some = rows[:: max(1, -(-len(rows) // MAX_ROWS))]
    covariates = _relevant_covariates(data, terms, numbers, k, parents, some)
    for causes in ([*parents, *products, *covariates], [*parents, *covariates], parents):
        count = sum(basis.size for basis, _ in causes)
        if causes and number >= ROWS_PER_FUNCTION * (1 + count):
            bases, inputs = zip(*causes, strict=True)
            blank = ConditionalMean(bases, inputs, (), ())
            return _Regression(k, blank, _own_terms(terms, k, singles))
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


def _own_terms(terms: Decomposition, k: int, parents: list[int]) -> tuple[Term, ...]:
    """Terms of a bias that depend on the own action, and on no others than its parents."""
    return tuple(
        term
        for term in terms.terms
        if term.role == "bias"
        and term.action == k
        and k in term.inputs
        and set(term.inputs) <= {k, *parents}
    )


def _cross_products(
    terms: Decomposition, regressions: Sequence[_Regression], batch: Observations
) -> list[Array]:
    """Products of the functions of causes with themselves and with the functions of each bias.

    Rows are weighted by their numbers of units.
    """
    every = []
    for action, blank, own in regressions:
        rows = ~batch.intervened[:, action]
        inputs = batch.inputs[rows]
        of_causes = blank.functions_of_causes(Evaluation(inputs))
        of_bias = replace(terms, terms=own).functions(inputs)
        weighted = of_causes if batch.weights is None else of_causes * batch.weights[rows]
        every.append(weighted @ np.column_stack([of_causes.T, of_bias]))
    return every


def _merge(before: list[Array], after: list[Array]) -> list[Array]:
    return [one + other for one, other in zip(before, after, strict=True)]


def _conditional_mean(regression: _Regression, cross: Array) -> ConditionalMean:
    """Least squares, with the smallest coefficients if several are equally good."""
    count = len(cross)
    values, vectors = np.linalg.eigh(cross[:, :count])
    independent = values > MIN_EIGENVALUE * values[-1]
    root = vectors[:, independent] / np.sqrt(values[independent])
    coefficients = root @ (root.T @ cross[:, count:])
    ends = np.cumsum([term.component.basis.size for term in regression.own])[:-1]
    return replace(
        regression.blank,
        terms=tuple(term.name for term in regression.own),
        coefficients=tuple(np.split(coefficients, ends, axis=1)),
    )
