"""Terms that join the model where the data ask for them: products of three actions in a bias.

A bias may depend on any number of actions together. Most worlds need no more than two, and
the functions of three are too many to carry along: each candidate is held against what the
fit without it leaves, and the one with the most evidence joins until none has enough.
"""

from collections.abc import Callable, Sequence

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.condense import TermEvidence, TermLikelihood
from bayes_intgen.decomposition import Term
from bayes_intgen.gram import CandidateSums

# Log Bayes factor that one candidate needs, before it is told that it is one of many:
# strong evidence in the words of Kass and Raftery (1995).
ASKED = 3.0


def asked_for(
    posterior: Collapsed,
    sites: dict[str, Array],
    found: CandidateSums,
    candidates: Sequence[Term],
    products: Callable[[int], Array],
) -> tuple[Term, ...]:
    """The candidates that the data ask for.

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
        Of one of them its columns' weighted products with those of all, shape (q, Q). Called for
        those that are asked for alone, which are few.
    """
    noise_variance = float(sites["noise_sd"]) ** 2
    half, precisions, information = left_over(posterior, sites, found)
    columns = found.columns
    enough = ASKED + np.log(max(len(candidates), 1))
    left, chosen = [*range(len(candidates))], []
    joined: list[tuple[Array, Array]] = []
    while left:
        evidence = {
            i: TermEvidence.of(
                TermLikelihood.of_information(precisions[i], information[columns[i]]),
                np.log(candidates[i].part.scale.median * posterior.terms.unit),
                candidates[i].part.scale.sigma,
            )
            for i in left
        }
        best = max(evidence, key=lambda i: evidence[i].log_bayes_factor)
        if evidence[best].log_bayes_factor < enough:
            break
        own = columns[best]
        left.remove(best)
        chosen.append(best)
        # What the rows say of it and the others together, less what those that joined explain.
        precision = products(best) / noise_variance - half[own] @ half.T
        for gain, of_other in joined:
            precision -= gain[own] @ of_other
        # The others are held against what it leaves.
        with_prior = precision[:, own] + np.eye(own.stop - own.start) / evidence[best].scale ** 2
        gain = np.linalg.solve(with_prior, precision).T
        joined.append((gain, precision))
        information = information - gain @ information[own]
        precisions = [
            one - gain[at] @ precision[:, at] for one, at in zip(precisions, columns, strict=True)
        ]
    return tuple(candidates[i] for i in sorted(chosen))


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
