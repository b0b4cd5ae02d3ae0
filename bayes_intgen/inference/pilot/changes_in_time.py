"""Effects and biases that change in time, in proportion to what they are.

Growth by 30% a year hardly shows in a single action. All effects together have more evidence, and
what grows has the shape that a fit without growth found: the sum of all effects times time is one
function of the rows, as in Tukey's test of additivity (Biometrics 1949). Its coefficients are rates

    g_k = s (c + DEVIATION d_k),    c and d_k standard normal,

by which the contribution of action k becomes phi_k(a_k) (1 + g_k t). Biases that change look alike
where an action was not set, so that both compete.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Literal

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis, LinearBasis
from bayes_intgen.basis.combined import (
    ConcatenatedBasis,
    KarhunenLoeveBasis,
    PastActions,
    RateError,
    TensorProductBasis,
)
from bayes_intgen.basis.control import CONTROL, ControlBasis, ResidualBasis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.passes import TermSums
from bayes_intgen.inference.pilot.selection import Candidate, JointLikelihood, forward_selection
from bayes_intgen.models.adjustment import population_shares
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal
from bayes_intgen.models.terms import Decomposition, Term

# Prior of the scale s, the relative change per standard deviation of the times.
RATE = LogNormal(median=0.2, sigma=1.0)
# Standard deviation of the rates of single actions about the one that they share, over its own.
DEVIATION = 0.5
# Minimum log Bayes factor of changes, which is near zero where there is hardly any evidence. Of 648
# tables without changes, 3% have more for those of effects, and of 360 with growth by 30%, 98%.
MIN_LOG_BAYES_FACTOR = 0.5
# Log Bayes factor up to which effects rather than biases change. Answers miss a change of effects
# everywhere, and a needless one widens their intervals little.
PREFERENCE = 1.0

# Changes of all effects, or of all biases, along one time.
Changes = tuple[Term, ...]


def changes_in_time(fit: Mode, data: Observations) -> tuple[Changes, ...]:
    """Changes of all effects, and of all biases, along each time among the covariates.

    Parameters
    ----------
    fit : Mode
        A fit without them, whose effects and biases they multiply.
    data : Observations
        Rows over whose population time is centred.
    """
    terms, columns, out = fit.terms, data.columns, list[Changes]()
    if columns.times:
        mean, shares = fit.conditional.mean / terms.unit, population_shares(data)
    for name in columns.times:
        at = columns.names.index(name)
        values = data.covariates[:, [at]]
        # Along the time itself, also where it starts near zero.
        line = LinearBasis.of(values, replace(Coordinate.of(values[:, 0]), edge=0.0))
        time = CentredBasis(line, shares @ line.matrix(values))
        for role in ("unconfounded", "bias"):
            out.append(tuple(_changes(terms, mean, role, len(terms.names) + at, time)))
    return tuple(filter(None, out))


def _changes(
    terms: Decomposition,
    mean: Array,
    role: Literal["unconfounded", "bias"],
    at: int,
    time: Basis,
) -> Iterator[Term]:
    """Change of the function of each action in a role, unless the model has it depend on the time.

    ``mean`` are the coefficients of all terms, in units of the outcome's standard deviation.
    """
    other = terms.covariates.every[at - len(terms.names)]
    moderated = {term.inputs for term in terms.terms if term.role == "moderator"}
    for k, action in enumerate(terms.names):
        own = [t for t in terms.summands if (t.role, t.action) == (role, k) and _is_alone(t)]
        if not own or (role == "unconfounded" and (k, at) in moderated):
            continue
        basis, inputs = own[0].component.basis, own[0].inputs
        shape = _shape(own, np.concatenate([mean[terms.columns[t.name]] for t in own]))
        product: Basis = TensorProductBasis((shape, time), 1)
        if isinstance(basis, ControlBasis):
            inputs = inputs if at in inputs else (*inputs, at)
            product = ControlBasis(basis.control, product, (CONTROL, inputs.index(at)))
        else:
            inputs = (k, at)
        name = f"{'psi' if role == 'unconfounded' else 'delta'}({action} | {other}) change"
        component = Component("change", product, RATE, inputs=tuple(range(len(inputs))))
        new_role = "moderator" if role == "unconfounded" else role
        of_period = own[0].of_period
        yield Term(name, new_role, k, inputs, component, None, own[0].gate, of_period)


def _is_alone(term: Term) -> bool:
    """Whether a term is a function of its action, or of its control variable, alone."""
    basis = term.component.basis
    if isinstance(basis, ControlBasis | ResidualBasis):
        return basis.arguments in ((CONTROL,), (0,))
    return term.inputs == (term.action,) and not isinstance(basis, PastActions | RateError)


def _shape(terms: Sequence[Term], coefficients: Array) -> Basis:
    """Sum of terms, as one function."""
    bases = [t.component.basis for t in terms]
    bases = [b.basis if isinstance(b, ControlBasis | ResidualBasis) else b for b in bases]
    return KarhunenLoeveBasis(reduce(ConcatenatedBasis, bases), coefficients[:, None])


def likely_changes(
    fit: Mode, sums: TermSums, changes: Sequence[Changes], dependence: Array
) -> list[Term]:
    """Select the changes that make a fit likelier than it is without them.

    Parameters
    ----------
    fit : Mode
    sums : TermSums
        Sums of its terms, and of the changes.
    changes : sequence of Changes
    dependence : ndarray, shape (P, Q)
        Root of what dependence of rows adds to the covariance of the scores of all these terms.
    """
    every = [term for own in changes for term in own]
    of_terms = JointLikelihood.of(fit, sums, every, dependence)
    # Weights of c and of all d_k in the rates, by the position of the changes.
    shared = [
        np.repeat([own is other for own in changes], [len(own) for own in changes])[:, None]
        for other in changes
    ]
    roots = [np.hstack([own, DEVIATION * np.diag(own[:, 0])]) for own in shared]
    root, ends = np.hstack(roots), np.cumsum([own.shape[1] for own in roots])
    likelihood = of_terms._replace(
        precision=root.T @ of_terms.precision @ root,
        information=root.T @ of_terms.information,
        dependence=root.T @ of_terms.dependence,
    )
    candidates = {
        i: Candidate(slice(end - own.shape[1], end), RATE)
        for i, (own, end) in enumerate(zip(roots, ends, strict=True))
    }

    def worth(i: int, log_bayes_factor: float) -> float:
        if log_bayes_factor <= MIN_LOG_BAYES_FACTOR:
            return -np.inf
        return log_bayes_factor + PREFERENCE * (changes[i][0].role == "moderator")

    chosen = forward_selection(likelihood, candidates, worth)
    return [term for i, *_ in chosen for term in changes[i]]
