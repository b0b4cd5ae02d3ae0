"""Forward selection of terms, by their evidence.

A bias may depend on several other actions together, and any contribution may be rougher than
usual. Most worlds need neither, and there are too many such functions to sample them all. So each
candidate is compared with what the fit without it leaves unexplained. The candidate with the most
evidence joins the model, and the comparison is repeated until none has enough.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.elimination import TermEvidence, TermLikelihood
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.models.terms import Term

# Log Bayes factor at which a single candidate joins, strong evidence in the words of Kass and
# Raftery (1995). The logarithm of the number of candidates is added to it.
MIN_LOG_BAYES_FACTOR = 3.0
# Ratio of the likelihood's precision to the prior's below which a direction of a term that joins is
# left out: it would take up less than a sixth of a degree of freedom.
MIN_PRECISION_RATIO = 0.2


def select_terms(
    posterior: MarginalPosterior,
    sites: dict[str, Array],
    statistics: CandidateStatistics,
    candidates: Sequence[Term],
    products: Callable[[int, Sequence[int]], Array],
) -> tuple[Term, ...]:
    """Select the candidates that join the model, without the directions that rows barely inform.

    Parameters
    ----------
    posterior : MarginalPosterior
        Of the fit without candidates.
    sites : dict
        Hyperparameters at which the other coefficients are integrated out.
    statistics : CandidateStatistics
        Beside the columns of ``posterior.terms``, those of the candidates.
    candidates : sequence of Term
        With a scale of their own and prior mean zero.
    products : callable
        Takes the position of one candidate and those of others, and returns the weighted products
        of their columns, shape (q, Q). It is called for the few candidates that join, with the
        others that have any evidence.

    Returns
    -------
    tuple of Term
        In the order of ``candidates``.
    """
    noise_variance = float(sites["noise_sd"]) ** 2
    half, precisions, information = left_over(posterior, sites, statistics)
    enough = MIN_LOG_BAYES_FACTOR + np.log(max(len(candidates), 1))

    def evidence_of(i: int, precision: Array, own_information: Array) -> TermEvidence:
        scale = candidates[i].component.scale
        likelihood = TermLikelihood.of_information(precision, own_information)
        return TermEvidence.of(likelihood, np.log(scale.median * posterior.terms.unit), scale.sigma)

    # Candidates that the data speak against from the start are not considered again.
    at = statistics.columns
    evidence = {
        i: evidence_of(i, precisions[i], information[at[i]]) for i in range(len(candidates))
    }
    left = [i for i in evidence if evidence[i].log_bayes_factor > 0]
    rows = np.concatenate([np.zeros(0, dtype=int), *(np.arange(len(half))[at[i]] for i in left)])
    half, information = half[rows], information[rows]
    within = dict(zip(left, statistics.of_candidates(left).columns, strict=True))
    others, chosen = tuple(left), {}
    joined: list[tuple[Array, Array]] = []
    while left:
        evidence = {i: evidence_of(i, precisions[i], information[within[i]]) for i in left}
        best = max(evidence, key=lambda i: evidence[i].log_bayes_factor)
        if evidence[best].log_bayes_factor < enough:
            break
        own, scale = within[best], evidence[best].scale
        left.remove(best)
        chosen[best] = _informed(candidates[best], precisions[best], scale)
        if not left:
            break
        # Precision of this term and the others together, less what earlier terms explain.
        precision = products(best, others) / noise_variance - half[own] @ half.T
        for gain, of_other in joined:
            precision -= gain[own] @ of_other
        # The others are compared with what this term leaves unexplained.
        with_prior = precision[:, own] + np.eye(own.stop - own.start) / scale**2
        gain = np.linalg.solve(with_prior, precision).T
        joined.append((gain, precision))
        information = information - gain @ information[own]
        for i in left:
            precisions[i] = precisions[i] - gain[within[i]] @ precision[:, within[i]]
    return tuple(chosen[i] for i in sorted(chosen))


def _informed(term: Term, precision: Array, scale: float) -> Term:
    """Term without the directions of its coefficients that the data barely inform.

    Independent coefficients of equal variance are so in any rotation. Along the eigenvectors of
    the likelihood they stay independent in the posterior.
    """
    values, vectors = np.linalg.eigh((precision + precision.T) / 2)
    known = values * scale**2 > MIN_PRECISION_RATIO
    if known.all() or not known.any():
        return term
    basis = KarhunenLoeveBasis(term.component.basis, vectors[:, known][:, ::-1].copy())
    return replace(term, component=replace(term.component, basis=basis))


def left_over(
    posterior: MarginalPosterior, sites: dict[str, Array], statistics: CandidateStatistics
) -> tuple[Array, list[Array], Array]:
    """Gaussian likelihood of candidates, the coefficients of ``posterior`` integrated out.

    Parameters
    ----------
    posterior : MarginalPosterior
    sites : dict
        Hyperparameters at which its coefficients are integrated out.
    statistics : CandidateStatistics
        Beside the columns of ``posterior.terms``, those of the candidates.

    Returns
    -------
    half : ndarray, shape (Q, P)
        ``half @ half.T`` is the precision that the integration takes from the candidates' columns.
    precisions : list of ndarray, shape (q, q)
        Precision of each candidate's likelihood.
    information : ndarray, shape (Q,)
        Information vectors of all candidates, one after the other.
    """
    given = posterior.given(sites)
    noise_variance = given.noise_sd**2
    cross = statistics.cross / noise_variance
    half = cross @ given.root
    precisions = [
        own / noise_variance - half[at] @ half[at].T
        for own, at in zip(statistics.own, statistics.columns, strict=True)
    ]
    return half, precisions, statistics.xy / noise_variance - cross @ given.mean
