"""Ways in which the additive mean can be wrong, as columns, and how strongly rows speak for each.

The additive model is overidentified. Its mean, E[Y | a, R] = c + sum_k phi_k(a_k)
+ sum_k (1 - R_k) delta_k(a), leaves no room for

- an *interaction* psi(a_j, a_k) in all regimes: the combination of regime means that gives the
  joint effect, as sum_j m_j - (K - 1) m_0, must be a sum of functions of one action each.
  With an unknown graph and one action set at a time this is all that can be tested;
- a dependence of the bias delta_j on an action that a known *graph* does not make its parent:
  m_j - m_0 = -delta_j;
- a *regime* with several actions set whose mean differs, in level or in what single actions
  do, from what the others predict.

Each is a block of columns Z beside the model's own X. With the model's coefficients integrated
out at its mode, the outcome is normal with some precision matrix V^-1, and the rows say of the
block's coefficients what the score S = Z'V^-1 y and its precision P = Z'V^-1 Z say: their
likelihood is that of S ~ N(P gamma, P). The statistic is the log Bayes factor of the block with
the scale of its coefficients integrated over its prior.

Its law where the additive model holds is not taken from the model, whose noise is neither
normal nor of exactly known variance. Without gamma, S is a sum over rows of z_i e_i, with z_i
the columns less what X explains of them, plus what shrinkage leaves of the mean's own
coefficients, N(0, P - N) with N = Z'V^-1 W^-1 V^-1 Z. The rows' part is resampled by changing
signs of residuals at random, each divided by sqrt(1 - leverage) (the wild bootstrap of Davidson
and Flachaire 2008 with the correction HC2): any dependence of variance and shape of the noise
on regime and actions stays, whatever its tails. All tests share the signs, so that the least of
their p values is compared with its own law (Westfall and Young 1993): the level holds for all
tests together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import chi2, ncx2

from bayes_intgen.bases import Array, Basis, Constant, Products
from bayes_intgen.condense import GRID, TermEvidence, TermLikelihood
from bayes_intgen.coordinate import Coordinate
from bayes_intgen.decomposition import Term
from bayes_intgen.gates import Always, Gate, InRegime, WhereNotSet
from bayes_intgen.goodness import FitTest
from bayes_intgen.graph import parents_of
from bayes_intgen.mechanisms import MARGIN_SIZE, LogNormal, Part
from bayes_intgen.models import AdditiveModel
from bayes_intgen.passes import candidate_sums, products
from bayes_intgen.pilot import Pilot, pilot_fit
from bayes_intgen.rows import Observations
from bayes_intgen.screening import asked_for
from bayes_intgen.streams import generator

Kind = Literal["interaction", "graph", "regime"]

# Products of two actions, and functions of one, that a departure is made of: the smoothest.
ORDER, SINGLE = 3, 2
FLIPS = 1999
# Numbers in memory at once: changes of signs times rows.
CHUNK = 4_000_000
POWER = 0.9


@dataclass(frozen=True, eq=False)
class Departure:
    """One way in which the additive mean can be wrong.

    Attributes
    ----------
    kind : {"interaction", "graph", "regime"}
    actions : tuple of str
        Between which it is; for a regime, those that it sets. Of a graph's, the first is the
        one whose bias it is.
    label : str
    pieces : tuple of (Basis, tuple of int)
        Functions, each with the actions that it takes.
    gate : Gate
    scale : LogNormal
        Prior of the scale of all coefficients, in outcome standard deviations.
    testable : bool
        Whether the regimes tell it from what the model has: not where its gate is a
        combination of those of the terms that take the same functions.
    """

    kind: Kind
    actions: tuple[str, ...]
    label: str
    pieces: tuple[tuple[Basis, tuple[int, ...]], ...]
    gate: Gate
    scale: LogNormal
    testable: bool

    def matrix(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Its columns, shape (n, size)."""
        pieces = [basis.matrix(actions[:, list(inputs)]) for basis, inputs in self.pieces]
        return np.asarray(np.concatenate(pieces, axis=1) * self.gate(intervened)[:, None])


def departures(data: Observations, model: AdditiveModel) -> list[Departure]:
    """All ways that the data could show, for the graph that the model has."""
    names, count = data.names, len(data.names)
    every = model.mechanisms(data, model.bias)
    mechanisms = [every[name] for name in names]
    coordinates = [Coordinate.of(column) for column in data.actions.T]
    margins = [
        mechanism.margin(data.actions[:, [k]], coordinates[k], MARGIN_SIZE)
        for k, mechanism in enumerate(mechanisms)
    ]

    def products(j: int, k: int) -> tuple[Basis, tuple[int, ...]]:
        return Products((margins[j], margins[k]), ORDER), (j, k)

    regimes = tuple(data.regimes)
    masks = np.array(regimes)
    parents = parents_of(names, model.graph)
    everywhere, unset = np.ones(len(masks)), [1.0 - masks[:, k] for k in range(count)]

    def holding(*actions: int) -> list[Array]:
        """Gates of the biases that may be functions of all these actions together."""
        return [unset[k] for k in range(count) if set(actions) <= {k, *parents[k]}]

    found = [
        Departure(
            "interaction",
            (names[j], names[k]),
            f"interaction of {names[j]} and {names[k]}",
            (products(j, k),),
            Always(),
            mechanisms[j].interaction,
            _tells(everywhere, holding(j, k)),
        )
        for j, k in combinations(range(count), 2)
    ]
    if model.graph is not None:
        found += [
            Departure(
                "graph",
                (names[j], names[k]),
                f"bias of {names[j]} depends on {names[k]}",
                ((margins[k], (k,)), products(j, k)),
                WhereNotSet(j),
                mechanisms[j].borrowed,
                _tells(unset[j], [everywhere, *holding(k)]) or _tells(unset[j], holding(j, k)),
            )
            for j in range(count)
            for k in range(count)
            if k != j and k not in parents[j]
        ]
    for i in np.flatnonzero(masks.sum(axis=1) > 1).tolist():
        chosen = tuple(n for n, was_set in zip(names, regimes[i], strict=True) if was_set)
        single = [(_First(margin, SINGLE), (k,)) for k, margin in enumerate(margins)]
        found.append(
            Departure(
                "regime",
                chosen,
                f"{data.label(regimes[i])} differs from what other regimes predict",
                ((Constant(), ()), *single),
                InRegime(regimes, i),
                model.prior.borrowed,
                _tells(np.eye(len(masks))[i], [everywhere, *unset]),
            )
        )
    return found


def null_pilot(
    data: Observations, model: AdditiveModel, chosen: Sequence[Departure], progress: bool
) -> Pilot:
    """The additive model at its mode, against which departures are held.

    Finer functions of an action and products of three in a bias join it where the data ask for
    them, as in a fit; but an interaction would make products be asked for, and then pass for them.
    So interactions are candidates too, and only terms that are asked for beside them join.
    """
    terms = model.decompose(data)
    pilot = pilot_fit(data, model, terms, (), progress)
    passed = {
        term.name for term in model.fit_tests(data) if FitTest.passed(term) in pilot.fit_tests
    }
    more = [term for term in model.candidates(data) if term.name not in passed]
    rivals = [
        Term(departure.label, "bias", None, *_single(departure), None, departure.gate)
        for departure in chosen
        if departure.kind == "interaction"
    ]
    if not more:
        return pilot
    candidates = (*more, *rivals)
    found = candidate_sums(data, terms, candidates, pilot.spread, progress)
    of_pairs = partial(products, data, terms, candidates, pilot.spread, progress)
    asked = asked_for(pilot.posterior, pilot.sites, found, candidates, of_pairs)
    labels = {rival.name for rival in rivals}
    joined = [term for term in asked if term.name not in labels]
    if not joined:
        return pilot
    return pilot_fit(data, model, terms.and_terms(joined), (), progress)


def _single(departure: Departure) -> tuple[tuple[int, ...], Part]:
    """Inputs and part of a departure that has one piece."""
    ((basis, inputs),) = departure.pieces
    return inputs, Part("", basis, departure.scale, inputs=(0, 1))


def _tells(gate: Array, others: list[Array]) -> bool:
    """Whether a gate, a number for each regime, is no combination of others."""
    before = np.reshape(others, (-1, len(gate)))
    after = np.vstack([before, gate])
    return int(np.linalg.matrix_rank(after)) > (
        int(np.linalg.matrix_rank(before)) if len(before) else 0
    )


@dataclass(frozen=True, eq=False)
class _First:
    """The first few functions of a basis."""

    basis: Basis
    most: int

    @property
    def size(self) -> int:
        return min(self.most, self.basis.size)

    def matrix(self, actions: Array) -> Array:
        return self.basis.matrix(actions)[:, : self.size]


class Found(NamedTuple):
    """What the rows say of one departure.

    Attributes
    ----------
    log_bayes_factor : float
        For it, against the additive model.
    p : float
        Of the log Bayes factor where the additive model holds.
    p_familywise : float
        Of the least p value among all departures, where it is as low as this one's.
    size : float
        Standard deviation over the rows of the estimate, in the outcome's units.
    detectable : float
        The standard deviation that its smoothest function needs to be found in nine of ten
        such data sets: as a chi-squared test of all its columns would find it, where the biases
        are free to take part of it for their own.
    """

    log_bayes_factor: float
    p: float
    p_familywise: float
    size: float
    detectable: float


def judged(
    data: Observations, pilot: Pilot, chosen: list[Departure], level: float, seed: int
) -> list[Found]:
    """Test the additive model against each departure, all of them together.

    Parameters
    ----------
    data : Observations
    pilot : Pilot
        The additive model at its mode, fitted to these rows.
    chosen : list of Departure
    level : float
        Of all tests together, at which ``detectable`` counts as found.
    seed : int
        Of the changes of signs.
    """
    blocks = [departure.matrix(data.actions, data.intervened) for departure in chosen]
    columns = np.concatenate(blocks, axis=1)
    scores = Scores.of(data, pilot, pilot.sites, columns)
    freed = Scores.of(data, pilot, _freed(pilot), columns)
    drawn = np.vstack([scores.score, scores.resampled(generator(seed, "check"))])
    unit = pilot.posterior.terms.unit
    ends = np.cumsum([0, *(block.shape[1] for block in blocks)])
    own = [slice(ends[i], ends[i + 1]) for i in range(len(blocks))]
    statistics = np.stack(
        [
            log_bayes_factors(scores.precision[at, at], drawn[:, at], departure.scale, unit)
            for at, departure in zip(own, chosen, strict=True)
        ],
        axis=1,
    )
    p = _shares_as_large(statistics)
    least = p.min(axis=1)
    found = []
    for i, (at, block, departure) in enumerate(zip(own, blocks, chosen, strict=True)):
        precision, score = scores.precision[at, at], scores.score[at]
        likelihood = TermLikelihood.of_information(precision, score)
        log_median = np.log(departure.scale.median * unit)
        scale = TermEvidence.of(likelihood, log_median, departure.scale.sigma).scale
        estimate = np.linalg.solve(precision + np.eye(len(score)) / scale**2, score)
        error = np.sqrt(freed.variance[at, at][0, 0]) / max(freed.precision[at, at][0, 0], 1e-300)
        acting = block[block.any(axis=1)]
        found.append(
            Found(
                float(statistics[0, i]),
                float(p[0, i]),
                float((least <= p[0, i]).mean()),
                float((acting @ estimate).std()) if departure.kind != "regime"
                else float(np.sqrt(np.mean((acting @ estimate) ** 2))),
                float(
                    _asked(level / len(chosen), len(score))
                    * error
                    * np.sqrt(np.mean(acting[:, 0] ** 2))
                ),
            )
        )  # fmt: skip
    return found


@cache
def _asked(level: float, size: int) -> float:
    """Standard errors from zero at which a chi-squared test of so many columns has its power."""
    critical = chi2.isf(level, size)
    return float(np.sqrt(brentq(lambda x: ncx2.sf(critical, size, x) - POWER, 1e-6, 1e4)))


def _freed(pilot: Pilot) -> dict[str, Array]:
    """The mode, but with what biases owe to other actions one prior sd above its prior scale.

    A departure large enough to be found raises these scales too, and much of it then passes for
    bias; at the mode without it they are near zero.
    """
    terms = pilot.posterior.terms
    scale = np.array(pilot.sites["scale"], dtype=float)
    for term in terms.terms:
        if term.borrowed and term.name in terms.scaled:
            at = terms.scaled.index(term.name)
            prior = term.part.scale
            scale[at] = max(scale[at], prior.median * np.exp(prior.sigma) * terms.unit)
    return {**pilot.sites, "scale": scale}


class Scores(NamedTuple):
    """Scores of further columns, with what is needed to resample them.

    Attributes
    ----------
    score : ndarray, shape (Q,)
        S = Z'V^-1 (y - X m), m the prior mean of the model's coefficients.
    precision : ndarray, shape (Q, Q)
        P = Z'V^-1 Z: the model's own covariance of the score.
    shrinkage : ndarray, shape (Q, Q)
        P - N: the part of it that is due to the model's coefficients.
    rows : ndarray, shape (n, Q)
        What each row's residual adds to the score, corrected for its leverage.
    """

    score: Array
    precision: Array
    shrinkage: Array
    rows: Array

    @classmethod
    def of(
        cls, data: Observations, pilot: Pilot, sites: dict[str, Array], columns: Array
    ) -> "Scores":
        """From a pilot, at hyperparameters that need not be those of its mode."""
        posterior = pilot.posterior
        mean, covariance = posterior.moments(sites)
        design = posterior.terms.matrix(data.actions, data.intervened)
        relative = pilot.spread(data.actions, data.intervened)
        weights = 1 / (relative * float(sites["noise_sd"]) ** 2)
        residual = data.outcome - posterior.terms.centre - design @ mean
        leverage = weights * ((design @ covariance) * design).sum(axis=1)
        weighted = columns * weights[:, None]
        cross = design.T @ weighted
        left = columns - design @ (covariance @ cross)
        precision = columns.T @ weighted - cross.T @ covariance @ cross
        of_noise = left.T @ (left * weights[:, None])
        scaled = weights * residual / np.sqrt(np.clip(1 - leverage, 0.05, 1))
        return cls(
            weighted.T @ residual,
            (precision + precision.T) / 2,
            precision - of_noise,
            left * scaled[:, None],
        )

    @property
    def variance(self) -> Array:
        """Covariance of the score where the model holds, whatever its noise, shape (Q, Q)."""
        return np.asarray(self.rows.T @ self.rows + self.shrinkage)

    def resampled(self, rng: np.random.Generator) -> Array:
        """Scores as they might have been without any departure, shape (1999, Q)."""
        count = len(self.rows)
        out = np.empty((FLIPS, len(self.score)))
        step = max(1, CHUNK // count)
        for start in range(0, FLIPS, step):
            piece = out[start : start + step]
            signs = rng.integers(0, 2, size=(len(piece), count), dtype=np.int8)
            piece[:] = (2.0 * signs - 1) @ self.rows
        values, vectors = np.linalg.eigh((self.shrinkage + self.shrinkage.T) / 2)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        return np.asarray(out + rng.standard_normal(out.shape) @ root.T)


def log_bayes_factors(precision: Array, scores: Array, scale: LogNormal, unit: float) -> Array:
    """Log Bayes factors of a block of columns for many scores, (n, q), its scale integrated out.

    For one score that of :class:`bayes_intgen.condense.TermEvidence`.
    """
    values, vectors = np.linalg.eigh(precision)
    values = np.clip(values, 0, None)
    shrunk = np.exp(2 * (np.log(scale.median * unit) + scale.sigma * GRID))[:, None]
    growth = 1 + shrunk * values
    log_ratio = 0.5 * ((scores @ vectors) ** 2 @ (shrunk / growth).T - np.log(growth).sum(axis=1))
    log_prior = -0.5 * GRID**2
    return np.asarray(logsumexp(log_ratio + log_prior, axis=1) - logsumexp(log_prior))


def _shares_as_large(statistics: Array) -> Array:
    """Share of the values of each column that are at least as large, shape (n, tests)."""
    count = len(statistics)
    return np.stack(
        [(count - np.searchsorted(np.sort(c), c, side="left")) / count for c in statistics.T],
        axis=1,
    )


def weights(found: Mapping[str, Found]) -> dict[str, float]:
    """Probability of each departure if one of them is there, all equally likely before."""
    evidence = np.array([one.log_bayes_factor for one in found.values()])
    shares = np.exp(evidence - logsumexp(evidence))
    return dict(zip(found, shares.tolist(), strict=True))
