"""Selection of terms, and of score tests, by sums over all rows.

A bias may depend on several other actions jointly, actions may interact, and any contribution may
be rougher than usual. Most data need none of these, and there are too many such functions to sample
all of them. Each candidate is therefore compared with the variation that the fit without it leaves
unexplained. The candidate with the most evidence is added, and the comparison is repeated until
none has enough.

Pruning comes last: terms without enough evidence for them get a fixed scale, and are eliminated
before sampling. So are errors of control variables, whose scale is known and whose number would
grow with that of the causes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis, HSGPBasis
from bayes_intgen.basis.combined import KarhunenLoeveBasis
from bayes_intgen.basis.control import ControlBasis
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.conditional import TermEvidence
from bayes_intgen.inference.gaussian.passes import TermSums
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.inference.pilot.lack_of_fit import FitTest, left_over, with_pairs
from bayes_intgen.models import Model
from bayes_intgen.models.mechanisms.mechanism import LogNormal
from bayes_intgen.models.terms import Decomposition, RandomEffects, Term, Where

# Minimum log Bayes factor of a single candidate, strong evidence according to Kass and Raftery
# (1995). The logarithm of the number of candidates is added to it.
MIN_LOG_BAYES_FACTOR = 3.0
# The same for interactions of two actions, which are added unless there is evidence against them,
# and for products with a control variable, which are added unless it is strong. A missing one makes
# intervals too short. A needless one, with its scale sampled, widens them little.
MIN_LOG_BAYES_FACTOR_OF_PAIR, MIN_LOG_BAYES_FACTOR_OF_CONTROL = -0.5, -MIN_LOG_BAYES_FACTOR
# Minimum ratio of likelihood to prior precision of a direction of an added term: directions below
# it have less than a sixth of a degree of freedom each.
MIN_PRECISION_RATIO = 0.2
# The same for the roughest function of a Gaussian process, at the mode, and maximum share of the
# prior's variance in rougher ones, if the lengthscale is shorter by a factor.
MIN_RATIO_OF_PROCESS, MAX_REST, SHORTER = 0.1, 0.005, 2.0
# Roles of terms that pruning may treat as absent.
OPTIONAL_ROLES = ("interaction", "covariate", "group", "moderator")
# Log Bayes factor below which a term is pruned. A term that the data do not inform has a log Bayes
# factor of zero up to rounding; its scale must keep its prior.
MAX_LOG_BAYES_FACTOR = -0.01
# The same for centred functions of covariates and groups alone, hardly more evidence for them than
# against. They average zero over the population, so that the uncertainty of their scales hardly
# enters answers. Levels that nothing but exchangeability separates from biases are not among them:
# their scales widen intervals. Of 40 tables with three covariates
# and a grouping that do not matter, 18 keep such a term without this threshold, and 6 with it. In
# 99 worlds with weak effects of covariates or groups, in which it fixes a scale, errors are the
# same (ratio 1.000, standard error 0.002), and coverage of 90% intervals is 0.904 after 0.908. Up
# to a threshold of 1 errors would grow (ratio 1.007, standard error 0.003, in 72 such worlds).
MAX_LOG_BAYES_FACTOR_WITHOUT_ACTIONS = 0.5
# Maximum number of columns of promising candidates: the time of a pass over all rows grows with the
# square of it.
MAX_COLUMNS = 1_000


class Addition(NamedTuple):
    """Candidate with its log Bayes factor against the model without it."""

    term: Term
    log_bayes_factor: float


def interactions(additions: Iterable[Addition]) -> list[Term]:
    """Interactions with strong evidence, whose jumps finer functions could follow."""
    return [
        added.term
        for added in additions
        if added.term.is_interaction and added.log_bayes_factor > MIN_LOG_BAYES_FACTOR
    ]


class Selection(NamedTuple):
    """Terms of the final model, and score tests of it.

    Attributes
    ----------
    terms : Decomposition
    suspicious, harmless : tuple of Term
        Tests that the screening retains or that concern an added interaction, and the others.
    jumps : tuple of FitTest
        Comparisons of added finer functions of two actions with smooth ones.
    """

    terms: Decomposition
    suspicious: tuple[Term, ...]
    harmless: tuple[Term, ...]
    jumps: tuple[FitTest, ...]


class Comparison(NamedTuple):
    """Terms whose sums over all rows are compared.

    Attributes
    ----------
    fit : Mode
        The first fit.
    errors : tuple of Term
        Errors of control variables, which every fit gets.
    candidates : tuple of Term
        Candidates of forward selection.
    tests : tuple of Term
        Alternatives of score tests.
    suspicious : tuple of Term
        Tests that the screening retains, or that concern an interaction of the first fit.
    terms : Decomposition
        Terms of the first fit, and the others that may be added or tested.
    """

    fit: Mode
    errors: tuple[Term, ...]
    candidates: tuple[Term, ...]
    tests: tuple[Term, ...]
    suspicious: tuple[Term, ...]
    terms: Decomposition

    @property
    def optional(self) -> tuple[Term, ...]:
        """Terms that may be added or tested."""
        fixed = {term.name for term in (*self.fit.terms.terms, *self.errors)}
        return tuple(term for term in self.terms.terms if term.name not in fixed)

    def only(self, names: Collection[str]) -> Self:
        """Restrict the optional terms to those with these names, and the tests retained to them."""
        kept = [t for t in self.optional if t.name in names or t.component.shared_scale in names]
        suspicious = tuple(term for term in self.suspicious if term.name in names)
        terms = self.fit.terms.and_terms((*self.errors, *kept))
        return self._replace(suspicious=suspicious, terms=terms)

    def with_effects(self, effects: RandomEffects | None) -> Self:
        """Replace the variances of random effects."""
        posterior, terms = self.fit.posterior, replace(self.terms, random_effects=effects)
        of_fit = replace(posterior, terms=replace(self.fit.terms, random_effects=effects))
        return self._replace(fit=replace(self.fit, posterior=of_fit), terms=terms)

    def select(self, sums: TermSums, fit: Mode, dependence: Array, informed: bool) -> Selection:
        """Add the candidates with enough evidence to the terms of the first fit.

        ``fit`` is that fit given the sums; other parameters are those of :func:`select_terms`.
        """
        tests = [term for term in self.tests if term.name in sums.terms.columns]
        more = self.suspicious
        while True:
            suspicious, names = more, {term.name for term in more}
            harmless = tuple(term for term in self.tests if term.name not in names)
            excluded = {term.name for term in harmless}
            compared = [term for term in self.candidates if term.name not in excluded]
            additions = select_terms(fit, sums, compared, dependence, informed)
            # Products of smooth functions may be what an interaction with jumps looks like.
            more = with_pairs(suspicious, tests, interactions(additions))
            if len(more) == len(suspicious):
                break
        added = tuple(addition.term for addition in additions)
        names = {term.name for term in added}
        sharing = [term for term in self.optional if term.component.shared_scale in names]
        terms = fit.terms.and_terms((*added, *sharing, *self.errors))
        compared = [term for term in compared if term.name in sums.terms.columns]
        jumps = self._jumps(fit, sums, compared, added, dependence)
        return Selection(terms, suspicious, harmless, jumps)

    def _jumps(
        self,
        fit: Mode,
        sums: TermSums,
        compared: Sequence[Term],
        additions: Sequence[Term],
        dependence: Array,
    ) -> tuple[FitTest, ...]:
        """Test whether the pairs to which finer functions have been added are smooth.

        These follow jumps, but only to within the distance of their knots, where score tests have
        little power. If products of smooth functions are the truth, the Bayes factor against them
        exceeds 1 / p with probability p at most (Markov's inequality).
        """
        added = {t.inputs: t for t in additions if t.is_interaction and t.component.label}
        if not added:
            return ()
        of_pairs = [t for t in compared if t.is_interaction and t.inputs in added]
        likelihood = JointLikelihood.of(fit, sums, of_pairs, dependence)
        excess = dict.fromkeys(added, 0.0)
        for term, own in zip(of_pairs, Candidate.each(of_pairs), strict=True):
            sign = 1 if term.component.label else -1
            excess[term.inputs] += sign * likelihood.evidence(own).log_bayes_factor
        p_values = {pair: min(1.0, float(np.exp(-excess[pair]))) for pair in added}
        return tuple(
            FitTest.of(t, p_values[t.inputs])._replace(role="jump") for t in added.values()
        )


def promising(
    fit: Mode,
    statistics: CandidateStatistics,
    candidates: Sequence[Term],
    ratio: float = 1.0,
) -> list[Addition]:
    """Candidates for which ``ratio`` times as many rows may have evidence, the likeliest first.

    Their scores and precisions are about those of a noise variance that is smaller by this factor.
    """
    sites = {**fit.sites, "noise_sd": fit.sites["noise_sd"] / np.sqrt(ratio)}
    each, unit = left_over(replace(fit, sites=sites), statistics), fit.terms.unit
    likely = list[Addition]()
    for term, likelihood in zip(candidates, each, strict=True):
        evidence = TermEvidence.of_likelihood(*likelihood, term.component.scale, unit)
        if evidence.log_bayes_factor > _limit(term):
            likely.append(Addition(term, evidence.log_bayes_factor))
    likely.sort(key=lambda own: -own.log_bayes_factor / own.term.component.basis.size)
    ends = np.cumsum([own.term.component.basis.size for own in likely])
    return likely[: int(np.sum(ends <= MAX_COLUMNS))]


def select_terms(
    fit: Mode,
    sums: TermSums,
    candidates: Sequence[Term],
    dependence: Array,
    informed: bool = True,
) -> tuple[Addition, ...]:
    """Select terms by evidence, without directions of their coefficients that rows barely inform.

    Parameters
    ----------
    fit : Mode
        Without candidates; its coefficients are marginalised.
    sums : TermSums
        Statistics of the fit's terms, and of the promising candidates.
    candidates : sequence of Term
        Terms with a scale and prior mean zero.
    dependence : ndarray, shape (P, Q)
        Root of what dependence of rows adds to the covariance of the scores of the terms of
        ``sums``.
    informed : bool
        Whether terms keep only the directions that the rows inform.

    Returns
    -------
    tuple of Addition
        In the order of ``candidates``.
    """
    compared = [term for term in candidates if term.name in sums.terms.columns]
    count = sum(_limit(term) == 0 for term in candidates)
    of_causes = sum(_shows_causes(term) for term in candidates)
    thresholds = [
        _limit(term)
        or (np.log(of_causes) if _shows_causes(term) else MIN_LOG_BAYES_FACTOR + np.log(count))
        for term in compared
    ]
    likelihood = JointLikelihood.of(fit, sums, compared, dependence)
    # Candidates with evidence against them from the start are not considered again.
    likely = {
        i: own
        for i, own in enumerate(Candidate.each(compared))
        if likelihood.evidence(own).log_bayes_factor > _limit(compared[i])
    }

    def worth(i: int, log_bayes_factor: float) -> float:
        return float(log_bayes_factor - thresholds[i])

    selection = {}
    for i, evidence, precision in forward_selection(likelihood, likely, worth):
        term = _informed(compared[i], precision, evidence.scale) if informed else compared[i]
        selection[i] = Addition(term, evidence.log_bayes_factor)
    return tuple(selection[i] for i in sorted(selection))


class Candidate(NamedTuple):
    """Coefficients in a joint likelihood, and the prior of their scale."""

    columns: slice
    prior: LogNormal

    @classmethod
    def each(cls, terms: Sequence[Term]) -> list[Self]:
        """Coefficients of each of some terms in the likelihood of all of them."""
        ends = np.cumsum([0, *(term.component.basis.size for term in terms)]).tolist()
        return [
            cls(slice(*own), term.component.scale)
            for own, term in zip(pairwise(ends), terms, strict=True)
        ]


class JointLikelihood(NamedTuple):
    """Gaussian likelihood of the coefficients of candidates, those of a model integrated out.

    Attributes
    ----------
    precision : ndarray, shape (Q, Q)
    information : ndarray, shape (Q,)
    dependence : ndarray, shape (Q, R)
        Root of the covariance of ``information`` beyond ``precision``, which that of independent
        rows is.
    unit : float
        Of the scales.
    """

    precision: Array
    information: Array
    dependence: Array
    unit: float

    @classmethod
    def of(
        cls,
        fit: Mode,
        sums: TermSums,
        candidates: Sequence[Term],
        dependence: Array,
    ) -> Self:
        """Likelihood of candidates beside a fit; parameters are those of :func:`select_terms`."""
        at = sums.terms.columns_of(candidates)
        together = np.asarray(sums.sums.xx)[np.ix_(at, at)]
        terms, root = fit.terms, fit.conditional.root
        statistics = sums.of_candidates(terms, candidates)._replace(own=(together,))
        ((precision, information),) = left_over(fit, statistics)
        of_fit = dependence[sums.terms.columns_of(terms.terms)]
        coefficients = root @ (root.T @ of_fit)
        cross = statistics.cross[:, :-1] / fit.noise_sd**2
        return cls(precision, information, dependence[at] - cross @ coefficients, terms.unit)

    def evidence(self, own: Candidate) -> TermEvidence:
        """Evidence of a candidate, each direction by as many rows as are independent."""
        precision = self.precision[own.columns, own.columns]
        values, vectors = np.linalg.eigh((precision + precision.T) / 2)
        values = np.clip(values, np.finfo(float).tiny, None)
        excess = np.sum((vectors.T @ self.dependence[own.columns]) ** 2, axis=1)
        share = 1 / (1 + excess / values)
        squares = (share * (vectors.T @ self.information[own.columns])) ** 2
        return TermEvidence.of(share * values, squares, own.prior, self.unit)

    def given(self, own: Candidate, scale: float) -> Self:
        """Add a candidate with a fixed scale to the model."""
        precision = self.precision[own.columns]
        with_prior = precision[:, own.columns] + np.eye(len(precision)) / scale**2
        gain = np.linalg.solve(with_prior, precision).T
        return self._replace(
            precision=self.precision - gain @ precision,
            information=self.information - gain @ self.information[own.columns],
            dependence=self.dependence - gain @ self.dependence[own.columns],
        )


def forward_selection(
    likelihood: JointLikelihood,
    candidates: Mapping[int, Candidate],
    worth: Callable[[int, float], float],
) -> Iterator[tuple[int, TermEvidence, Array]]:
    """Add the worthiest candidate, and compare the others given it, until none is worth it.

    Its worth follows from its log Bayes factor, and must not be negative. Yields which candidates
    are added, with their evidence and the precision of their likelihood.
    """
    remaining = dict(candidates)
    while remaining:
        evidence = {i: likelihood.evidence(own) for i, own in remaining.items()}
        excess = {i: worth(i, own.log_bayes_factor) for i, own in evidence.items()}
        best = max(excess, key=excess.__getitem__)
        if excess[best] < 0:
            break
        own = remaining.pop(best)
        yield best, evidence[best], likelihood.precision[own.columns, own.columns]
        likelihood = likelihood.given(own, evidence[best].scale)


def with_informed_functions(model: Model, fit: Mode) -> MarginalPosterior:
    """Leave out the roughest functions of Gaussian processes.

    These are functions that the rows do not inform, and that have next to no part in the prior's
    variance, also at a shorter lengthscale, on which their number depends (Riutort-Mayol et al.
    2023).

    Parameters
    ----------
    model : Model
    fit : Mode
    """
    posterior, sites = fit.posterior, fit.sites
    terms, kept = posterior.terms, np.ones(posterior.terms.size, dtype=bool)
    if "lengthscale" not in sites:
        return posterior
    precision = np.diag(posterior.sums.xx) / float(sites["noise_sd"]) ** 2
    if posterior.sums.known is not None:
        precision = precision + np.square(np.asarray(posterior.sums.known.matrix)).sum(axis=0)
    ratio = precision * np.exp(2 * posterior.priors.log_sd(sites))
    rougher = {**sites, "lengthscale": sites["lengthscale"] / SHORTER}
    variance = np.exp(2 * posterior.priors.log_sd(rougher))
    remaining: list[Term] = []
    bases: dict[tuple[HSGPBasis, int], HSGPBasis] = {}
    for term in terms.terms:
        basis, columns = term.component.basis, terms.columns[term.name]
        if isinstance(basis, HSGPBasis):
            rest = np.cumsum(variance[columns][::-1])[::-1]
            needed = (ratio[columns] > MIN_RATIO_OF_PROCESS) | (rest > MAX_REST * rest[0])
            size = 1 + int(np.flatnonzero(needed).max())
            kept[columns.start + size : columns.stop] = False
            # Equal functions of several terms stay one object, which is evaluated once.
            basis = bases.setdefault((basis, size), replace(basis, centres=basis.centres[:size]))
            term = replace(term, component=replace(term.component, basis=basis))
        remaining.append(term)
    sums = posterior.sums.select(np.flatnonzero(kept))
    return MarginalPosterior.of(model, replace(terms, terms=tuple(remaining)), sums)


def _limit(term: Term) -> float:
    """Log Bayes factor that suffices for a candidate; zero if it needs evidence."""
    if isinstance(term.component.basis, ControlBasis):
        return MIN_LOG_BAYES_FACTOR_OF_CONTROL
    return MIN_LOG_BAYES_FACTOR_OF_PAIR if term.is_interaction else 0.0


def _shows_causes(term: Term) -> bool:
    """Whether a candidate is the interaction of two hidden causes in rows where both were set.

    Such rows tell the joint effect most directly. Evidence that outweighs the number of pairs is
    enough: a missing term is an error of the answer, however many rows there are.
    """
    return isinstance(term.gate, Where) and term.gate.were_set


def _informed(term: Term, precision: Array, scale: float) -> Term:
    """Remove the directions of a term's coefficients that the data barely inform.

    Independent coefficients of equal variance stay so in any rotation. Along the eigenvectors of
    the likelihood's precision they are also independent in the posterior.
    """
    values, vectors = np.linalg.eigh((precision + precision.T) / 2)
    informed = values * scale**2 > MIN_PRECISION_RATIO
    if informed.all() or not informed.any():
        return term
    of_term, directions = term.component.basis, vectors[:, informed][:, ::-1].copy()
    basis: Basis
    if isinstance(of_term, ControlBasis):
        basis = replace(of_term, basis=KarhunenLoeveBasis(of_term.basis, directions))
    else:
        basis = KarhunenLoeveBasis(of_term, directions)
    return replace(term, component=replace(term.component, basis=basis))


def weak_terms(fit: Mode) -> dict[str, float]:
    """Cross-action terms with evidence against them at the mode, and their fixed scales."""
    terms, weak, conditional = fit.terms, dict[str, float](), fit.conditional
    mean, covariance, actions = conditional.mean, conditional.covariance, len(terms.names)
    for term in terms.terms:
        optional = term.cross_action or term.role in OPTIONAL_ROLES
        if not optional or term.component.kernel is not None or term.fixed_sd is not None:
            continue
        columns, prior = terms.columns[term.name], term.component.scale
        scale = float(fit.sites["scale"][[*terms.scales].index(terms.scale_of[term.name])])
        moments = mean[columns], covariance[columns, columns]
        evidence = TermEvidence.of_posterior(*moments, scale, prior, terms.unit)
        limit = MAX_LOG_BAYES_FACTOR
        if isinstance(term.component.basis, CentredBasis) and min(term.inputs) >= actions:
            limit = MAX_LOG_BAYES_FACTOR_WITHOUT_ACTIONS
        if evidence.log_bayes_factor < limit:
            weak[term.name] = evidence.scale
    return weak
