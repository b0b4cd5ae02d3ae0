"""Forward selection of terms that join the model where the data ask for them.

A bias may depend on any number of actions together, and any contribution may be rougher than
usual. Most worlds need neither, and the functions are too many to carry along: each candidate is
held against what the fit without it leaves, and the one with the most evidence joins until none has
enough.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bayes_intgen.bases import Array, Principal
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.condense import TermEvidence, TermLikelihood
from bayes_intgen.decomposition import Term
from bayes_intgen.gram import CandidateSums

# Log Bayes factor that one candidate needs, before it is told that it is one of many:
# strong evidence in the words of Kass and Raftery (1995).
ASKED = 3.0
# Ratio of the likelihood's precision to the prior's below which a direction of a term that joins is
# left out: it would take up less than a twentieth of a degree of freedom.
LEAST_KNOWN = 0.05


def asked_for(
    posterior: Collapsed,
    sites: dict[str, Array],
    found: CandidateSums,
    candidates: Sequence[Term],
    products: Callable[[int, Sequence[int]], Array],
) -> tuple[Term, ...]:
    """The candidates that the data ask for, less the directions of which they say next to nothing.

    Parameters
    ----------
    posterior : Collapsed
        Without them.
    sites : dict
        Hyperparameters at which the other coefficients are integrated out.
    found : CandidateSums
        Beside the columns of ``posterior.terms``, those of the candidates.
    candidates : sequence of Term
        With a scale of their own and prior mean zero.
    products : callable
        Of one of them its columns' weighted products with those of others, shape (q, Q). Called for
        those that are asked for, which are few, and others with some evidence for them.
    """
    noise_variance = float(sites["noise_sd"]) ** 2
    half, precisions, information = left_over(posterior, sites, found)
    enough = ASKED + np.log(max(len(candidates), 1))

    def judged(i: int, precision: Array, of: Array) -> TermEvidence:
        scale = candidates[i].part.scale
        likelihood = TermLikelihood.of_information(precision, of)
        return TermEvidence.of(likelihood, np.log(scale.median * posterior.terms.unit), scale.sigma)

    # Of those that the data speak against from the first nothing more is asked.
    at = found.columns
    evidence = {i: judged(i, precisions[i], information[at[i]]) for i in range(len(candidates))}
    left = [i for i in evidence if evidence[i].log_bayes_factor > 0]
    rows = np.concatenate([np.zeros(0, dtype=int), *(np.arange(len(half))[at[i]] for i in left)])
    half, information = half[rows], information[rows]
    within = dict(zip(left, found.of_candidates(left).columns, strict=True))
    others, chosen = tuple(left), {}
    joined: list[tuple[Array, Array]] = []
    while left:
        evidence = {i: judged(i, precisions[i], information[within[i]]) for i in left}
        best = max(evidence, key=lambda i: evidence[i].log_bayes_factor)
        if evidence[best].log_bayes_factor < enough:
            break
        own, scale = within[best], evidence[best].scale
        left.remove(best)
        chosen[best] = _told_of(candidates[best], precisions[best], scale)
        if not left:
            break
        # The rows' precision of it and the others together, less what those that joined explain.
        precision = products(best, others) / noise_variance - half[own] @ half.T
        for gain, of_other in joined:
            precision -= gain[own] @ of_other
        # The others are held against what it leaves.
        with_prior = precision[:, own] + np.eye(own.stop - own.start) / scale**2
        gain = np.linalg.solve(with_prior, precision).T
        joined.append((gain, precision))
        information = information - gain @ information[own]
        for i in left:
            precisions[i] = precisions[i] - gain[within[i]] @ precision[:, within[i]]
    return tuple(chosen[i] for i in sorted(chosen))


def _told_of(term: Term, precision: Array, scale: float) -> Term:
    """A term less the directions of its coefficients of which the data say next to nothing.

    Coefficients that are independent and equally wide are so in any rotation; along the
    eigenvectors of the likelihood they stay independent in the posterior.
    """
    values, vectors = np.linalg.eigh((precision + precision.T) / 2)
    known = values * scale**2 > LEAST_KNOWN
    if known.all() or not known.any():
        return term
    basis = Principal(term.part.basis, vectors[:, known][:, ::-1].copy())
    return replace(term, part=replace(term.part, basis=basis))


def left_over(
    posterior: Collapsed, sites: dict[str, Array], found: CandidateSums
) -> tuple[Array, list[Array], Array]:
    """What the rows say of candidates with the coefficients of ``posterior`` integrated out.

    Returns
    -------
    half : ndarray, shape (Q, P)
        Whose rows' products are what that takes from the precision of the candidates' columns.
    precisions : list of ndarray, shape (q, q)
    information : ndarray, shape (Q,)
        Of the Gaussian likelihood of each candidate, and of all.
    """
    given = posterior.given(sites)
    noise_variance = given.noise_sd**2
    cross = found.cross / noise_variance
    half = cross @ given.root
    precisions = [
        own / noise_variance - half[at] @ half[at].T
        for own, at in zip(found.own, found.columns, strict=True)
    ]
    return half, precisions, found.xy / noise_variance - cross @ given.mean
