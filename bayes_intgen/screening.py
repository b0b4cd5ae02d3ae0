"""Terms that join the model where the data ask for them: products of three actions in a bias.

A bias may depend on any number of actions together. Most worlds need no more than two, and
the functions of three are too many to carry along: each candidate is held against what the
fit without it leaves, and the one with the most evidence joins until none has enough.
"""

from collections.abc import Sequence

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.condense import TermEvidence, TermLikelihood
from bayes_intgen.decomposition import Term
from bayes_intgen.gram import Sums

# Log Bayes factor that one candidate needs, before it is told that it is one of many:
# strong evidence in the words of Kass and Raftery (1995).
ASKED = 3.0


def asked_for(
    posterior: Collapsed, sites: dict[str, Array], sums: Sums, candidates: Sequence[Term]
) -> tuple[Term, ...]:
    """The candidates that the data ask for.

    Parameters
    ----------
    posterior : Collapsed
        Without them.
    sites : dict
        Hyperparameters at which the other coefficients are integrated out.
    sums : Sums
        Over the columns of ``posterior.terms`` and then those of the candidates.
    candidates : sequence of Term
        With a scale of their own and prior mean zero.
    """
    precision, information = left_over(posterior, sites, sums)
    ends = np.cumsum([0, *(term.part.basis.size for term in candidates)])
    left = {i: slice(ends[i], ends[i + 1]) for i in range(len(candidates))}
    enough = ASKED + np.log(max(len(candidates), 1))
    chosen = []
    while left:
        found = {
            i: TermEvidence.of(
                TermLikelihood.of_information(precision[own, own], information[own]),
                np.log(candidates[i].part.scale.median * posterior.terms.unit),
                candidates[i].part.scale.sigma,
            )
            for i, own in left.items()
        }
        best = max(found, key=lambda i: found[i].log_bayes_factor)
        if found[best].log_bayes_factor < enough:
            break
        own = left.pop(best)
        chosen.append(best)
        # The others are held against what it leaves.
        with_prior = precision[own, own] + np.eye(own.stop - own.start) / found[best].scale ** 2
        gain = np.linalg.solve(with_prior, precision[own]).T
        information = information - gain @ information[own]
        precision = precision - gain @ precision[own]
    return tuple(candidates[i] for i in sorted(chosen))


def left_over(posterior: Collapsed, sites: dict[str, Array], sums: Sums) -> tuple[Array, Array]:
    """What the rows say of further coefficients with those of ``posterior`` integrated out.

    Returns
    -------
    precision : ndarray, shape (Q, Q)
    information : ndarray, shape (Q,)
        Of the Gaussian likelihood of the Q columns of ``sums`` that ``posterior`` lacks.
    """
    size = posterior.terms.size
    mean, covariance = posterior.moments(sites)
    noise_variance = float(sites["noise_sd"]) ** 2
    xx, xy = np.asarray(sums.xx) / noise_variance, np.asarray(sums.xy) / noise_variance
    cross = xx[size:, :size]
    return xx[size:, size:] - cross @ covariance @ cross.T, xy[size:] - cross @ mean
