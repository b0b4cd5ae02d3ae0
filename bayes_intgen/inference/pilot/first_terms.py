"""Terms of the first fit, and candidates: by a sample of the rows, with averages over all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.group_indicators import CentredBasis
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.graph_evidence import with_parents
from bayes_intgen.inference.pilot.student_t import clipped
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.adjustment import population_weights
from bayes_intgen.models.terms import Decomposition, Term


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
    terms, candidates = _recentred(terms, candidates, data, len(sample), settings.progress)
    if not settings.techniques.control_variables:
        return with_parents(sample, model, terms), candidates
    terms, candidates = with_observed_causes(
        sample, model, terms, candidates, data, settings.progress
    )
    # Products with control variables are candidates only where rows select terms.
    return (terms, candidates) if settings.simplify else (terms.and_terms(candidates), ())


def _recentred(
    terms: Decomposition, candidates: Sequence[Term], data: Rows, rows: int, progress: bool
) -> tuple[Decomposition, tuple[Term, ...]]:
    """Centre functions of covariates and groups over the observational rows of all data.

    Predictions without covariates are then averages over exactly these rows.

    Parameters
    ----------
    terms : Decomposition
    candidates : sequence of Term
    data : Rows
    rows : int
        Number of rows from which the terms were made. If these are all, nothing changes.
    progress : bool
    """
    every = _centred_bases([*terms.terms, *candidates])
    if rows == len(data) or not every:
        return terms, tuple(candidates)
    none_set = (False,) * len(data.names)
    sums = data.map_reduce(
        partial(_sums, every, none_set in data.regimes), np.add, "Averages of covariates", progress
    )
    ends = np.cumsum([0, *(basis.size for basis, _ in every)])
    means = sums[:-1] / sums[-1]
    centred = {
        basis: basis.centred_at(means[ends[i] : ends[i + 1]]) for i, (basis, _) in enumerate(every)
    }
    moved = tuple(_with_centres(term, centred) for term in terms.terms)
    return replace(terms, terms=moved), tuple(_with_centres(term, centred) for term in candidates)


def _centred_bases(terms: Iterable[Term]) -> list[tuple[CentredBasis, int]]:
    """Distinct centred bases of terms, with the input of each."""
    out: dict[CentredBasis, int] = {}
    for term in terms:
        basis = term.component.basis
        factors = basis.factors if isinstance(basis, TensorProductBasis) else (basis,)
        pairs = zip(factors, term.inputs, strict=False)
        out |= {factor: k for factor, k in pairs if isinstance(factor, CentredBasis)}
    return list(out.items())


def _sums(
    every: Sequence[tuple[CentredBasis, int]], observational: bool, batch: Observations
) -> Array:
    """Weighted sums of all functions over the population, and of the weights."""
    weights = population_weights(batch, observational)
    inputs = batch.inputs
    sums = [weights @ basis.basis.matrix(inputs[:, [k]]) for basis, k in every]
    return np.concatenate([*sums, [weights.sum()]])


def _with_centres(term: Term, centred: Mapping[CentredBasis, CentredBasis]) -> Term:
    def moved(basis: Basis) -> Basis:
        return centred[basis] if isinstance(basis, CentredBasis) else basis

    basis = term.component.basis
    if isinstance(basis, TensorProductBasis):
        basis = TensorProductBasis(tuple(map(moved, basis.factors)), basis.order)
    return replace(term, component=replace(term.component, basis=moved(basis)))
