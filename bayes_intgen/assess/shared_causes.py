"""Tests of how the actions arise: causes that two of them share, and experiments that reach others.

If the hidden causes are independent, actions do not confound each other: given its causes among the
other actions, an action has the same distribution whether those were set or not. Dependence of two
actions in rows where neither was set, beyond what the experiments show one to do to the other, is
therefore a shared hidden cause.

Notes
-----
For a pair (j, k), one of two hypotheses holds without a shared cause, since the graph is acyclic.

- j may move k: E[t(a_k) | a_j, a_S] is the same in do(j) as in rows where neither was set (the
  *contrast* of j and k is zero), and in do(k) a_j does not depend on a_k (the *effect* of k on j
  is zero). Here S are the other actions that may move j, less those that k moves; they block
  every path through observed causes (rule 2 of the do-calculus; Pearl 2009, theorem 3.4.1).
- k may move j: the same with j and k exchanged.

All regressions contain functions of covariates and indicators of groups, since observed causes may
be shared. Very many groups are removed by subtracting the mean of each from every column (the
within transformation), so that rows of one group are compared. Rows of such a group may be
dependent: their contributions to a score are summed, and the bootstrap draws a sign per group
(Cameron, Gelbach and Miller 2008). Where no action varies in a group, one row of each is tested.

An experiment on j changes no law of another action. If j may move k, a_k has the same mean in do(j)
as where neither was set, given a_j and a_S (the *shift* of k in do(j) is zero). If k may move j, it
has the same mean without a_j, on which it does not depend in do(j).

The t are a few smooth functions of the action, which show its mean and its spread. With covariates
or groups t is the action's coordinate alone: what they add to its mean they do not add to the mean
of its square, whose regression would lack products of theirs. A given graph is not used, so that an
edge that it lacks does not pass for a shared cause.

The statistic of a hypothesis is the sum of the score statistics of its contrast and its effect;
that of the pair is the smallest over the hypotheses. The bootstrap takes this minimum too. Under
the best hypothesis the other's scores have means that need not be zero: they are estimated by
shrinkage (James and Stein 1961), so that the minimum is over both if both hold, as between actions
that do not move each other, and over one if the direction is clear.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.assess.bootstrap import (
    POWER_SAMPLES,
    BootstrapResult,
    BootstrapTest,
    Departure,
    RowScores,
    Untested,
    blocks_of_rows,
    familywise_results,
    wild_bootstrap,
)
from bayes_intgen.basis.combined import TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.regimes import Mask
from bayes_intgen.inference.gaussian.factor import orthonormal_basis
from bayes_intgen.inference.pilot.graph_evidence import N_FEATURES, feature_basis, sums_by_unit
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.mechanisms.mechanism import MARGIN_SIZE, Column

# Functions of an action as a regressor, and rows for each of them in the smaller regime.
N_REGRESSORS, ROWS_PER_REGRESSOR = 8, 20
# Total order of products of two regressors.
PRODUCT_ORDER = 3
# P value of the effect of one action on another above which it is taken not to move it, and below
# which it is taken to move it.
ABSENT, PRESENT = 0.3, 1e-3
# Singular values, relative to columns of unit length, below which columns are combinations of
# others: of regressors, of features beside the regressors, and of responses.
MIN_REGRESSOR, MIN_FEATURE, MIN_RESPONSE = 1e-6, 3e-3, 1e-3
CORRELATIONS = (1e-3, 1.0)
# Names of scores that have mean zero under each of two hypotheses.
type _Hypotheses = tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]


def action_tests(
    data: Observations, model: AdditiveModel, level: float, seed: int
) -> list[BootstrapResult | Untested]:
    """Test pairs of actions for shared hidden causes and for shifts, with familywise p values.

    Parameters
    ----------
    data : Observations
    model : AdditiveModel
        Its mechanisms determine the functions of each action.
    level : float
        Familywise level at which ``detectable`` is computed.
    seed : int
        Seed of the bootstrap weights.

    Returns
    -------
    list of BootstrapResult or Untested
        "shared cause": ``size`` and ``detectable`` are correlations of the actions due to shared
        causes, where neither was set; a text says why these rows do not test a pair. "shift", of
        the second action where the first is set: its correlation with whether this is set.

    Examples
    --------
    >>> results = action_tests(data, bi.models.additive(), 0.025, seed=0)
    >>> [result.of.kind for result in results], results[0].p > 0.05
    (['shared cause', 'shift', 'shift'], True)
    """
    data = _one_row_per_unit(data)
    actions = _Actions(data, model)
    positions = range(len(data.names))
    scores = actions.scores()
    samples = wild_bootstrap(
        [score.rows for score in scores.values()],
        # Scores of patients are sums over their rows.
        blocks_of_rows(data) if actions.unit is None else np.arange(len(data)),
        generator(seed, "check", 2),
    )
    sampled = dict(zip(scores, zip(scores.values(), samples, strict=True), strict=True))
    # Scores with mean zero under each hypothesis: j may move k, or k may move j.
    every: dict[Departure, _Hypotheses] = {}
    for j, k in combinations(positions, 2):
        first, second = pair = data.names[j], data.names[k]
        of = Departure("shared cause", f"hidden cause shared by {first} and {second}", pair)
        every[of] = (
            [("contrast", j, k), ("effect", k, j)],
            [("contrast", k, j), ("effect", j, k)],
        )
    for j, k in permutations(positions, 2):
        first, second = pair = data.names[j], data.names[k]
        of = Departure("shift", f"{second} set otherwise in the experiment on {first}", pair)
        every[of] = [("shift", j, k)], [("shift of cause", j, k), ("effect", j, k)]
    tests, untested = [], []
    for of, hypotheses in every.items():
        known = [[sampled[key] for key in keys if key in sampled] for keys in hypotheses]
        if all(known):
            tests.append(_pair_test(of, known))
        elif of.kind == "shared cause":
            untested.append(Untested(of, actions.obstacle(*map(data.names.index, of.actions))))
    return [*familywise_results(tests, level), *untested]


class _Score(NamedTuple):
    """Score of features of one action in a regression of another.

    Attributes
    ----------
    value : ndarray, shape (q,)
    rows : RowScores
        Contributions of the rows.
    covariance_inverse : ndarray, shape (q, q)
    shift : ndarray, shape (q,)
        Change of the mean if shared causes correlate the actions perfectly.
    correlation : float
        Estimate of that correlation.
    """

    value: Array
    rows: RowScores
    covariance_inverse: Array
    shift: Array
    correlation: float

    def statistic(self, values: Array) -> Array:
        """Squared lengths of scores, shape (n,), in units of their covariance."""
        return np.asarray((values @ self.covariance_inverse * values).sum(axis=1))

    @property
    def shrunken(self) -> Array:
        """Positive-part James-Stein estimate of the mean."""
        squared = float(self.statistic(self.value[None])[0])
        return self.value * max(0.0, 1 - len(self.value) / squared) if squared else self.value


def _total(scores: Sequence[tuple[_Score, Array]]) -> Array:
    """Sum of the statistics of several scores, shape (n,)."""
    return np.sum([score.statistic(values) for score, values in scores], axis=0)


def _pair_test(
    of: Departure, hypotheses: Sequence[Sequence[tuple[_Score, Array]]]
) -> BootstrapTest:
    """Test a pair, given the scores with mean zero under each hypothesis and their samples.

    ``size`` is the correlation of actions that do not move each other.
    """
    observed = [_total([(s, s.value[None]) for s, _ in h])[0] for h in hypotheses]
    best = int(np.argmin(observed))
    resampled = [
        _total([(s, x if i == best else x + s.shrunken) for s, x in h])
        for i, h in enumerate(hypotheses)
    ]

    def moved(size: float) -> Array:
        parts = [
            _total([(s, x[:POWER_SAMPLES] + size * s.shift) for s, x in h]) for h in hypotheses
        ]
        return np.asarray(np.min(parts, axis=0))

    return BootstrapTest(
        of,
        np.concatenate([[observed[best]], np.min(resampled, axis=0)]),
        # With a shared cause the other hypothesis fits badly, so that its samples do not count.
        _total(hypotheses[best]),
        moved,
        hypotheses[best][0][0].correlation,
        CORRELATIONS,
    )


class _Actions:
    """Functions of the actions, and the regimes that inform each pair."""

    def __init__(self, data: Observations, model: AdditiveModel) -> None:
        self.data = data
        # Positions of the units of a grouping that is too fine for an indicator each.
        group = data.fine_group
        unit = None if group is None else np.unique(group, return_inverse=True)[1]
        self.unit = None if unit is None or unit.max() + 1 == len(data) else unit
        self.rows = {m: np.flatnonzero((data.intervened == m).all(axis=1)) for m in data.regimes}
        fewest = min(map(len, self.rows.values()))
        size = int(np.clip(fewest // ROWS_PER_REGRESSOR, N_FEATURES, N_REGRESSORS))
        mechanisms = model.bias_mechanisms(data)
        self.regressors, self.factors, self.features, self.responses = [], [], [], []
        for k, mechanism in enumerate(mechanisms):
            own, column = data.actions[:, [k]], Column.of(data.actions[:, k])
            factor = mechanism.marginal_basis(column, MARGIN_SIZE)
            self.regressors.append(mechanism.marginal_basis(column, size))
            self.factors.append(factor)
            self.features.append(feature_basis(mechanism, factor, own).matrix(own))
            of_mean = len(data.columns) > 0 and data.categories[k] is None
            self.responses.append(column.coordinate(own) if of_mean else self.features[k])
        self.observed_causes = model.decompose(data).observed_causes(data.inputs)
        # Masks with neither action set and with the first set, the others alike, by pair.
        self.regimes = {
            pair: masks
            for pair in permutations(range(len(data.names)), 2)
            if (masks := self._regimes(*pair)) is not None
        }
        self.effects = {pair: self.effect(*pair) for pair in self.regimes}

    def scores(self) -> dict[tuple[str, int, int], _Score]:
        """Scores of the hypotheses about all pairs, as far as the regimes have them."""
        scores = {("effect", *pair): score for pair, score in self.effects.items()}
        for pair in self.regimes:
            scores["contrast", *pair] = self.contrast(*pair)
            scores["shift", *pair] = self.shift(*pair, given=True)
            scores["shift of cause", *pair] = self.shift(*pair, given=False)
        return {key: score for key, score in scores.items() if score is not None}

    def effect(self, j: int, k: int) -> _Score | None:
        """Score of action j in a regression of action k on a constant, in rows of do(j)."""
        rows = self.rows[self.regimes[j, k][1]]
        return self._score(rows, self.features[j][rows], [], k, np.zeros(len(rows), dtype=bool))

    def contrast(self, j: int, k: int) -> _Score | None:
        """Score of action j, where it was not set, in a regression of action k on j and others."""
        free, was_set = (self.rows[mask] for mask in self.regimes[j, k])
        rows = np.concatenate([free, was_set])
        is_free = np.arange(len(rows)) < len(free)
        feature = self.features[j][rows] - self.features[j][free].mean(axis=0)
        return self._score(rows, feature * is_free[:, None], self._causes(rows, j, k), k, is_free)

    def shift(self, j: int, k: int, given: bool) -> _Score | None:
        """Score of where j was set in a regression of action k, given j and others or not."""
        rows = np.concatenate([self.rows[mask] for mask in self.regimes[j, k]])
        was_set = self.data.intervened[rows, j].astype(float)[:, None]
        regressors = self._causes(rows, j, k) if given else []
        return self._score(rows, was_set, regressors, k, np.ones(len(rows), dtype=bool))

    def _causes(self, rows: NDArray[np.int_], j: int, k: int) -> list[Array]:
        """Functions of j and of other causes of k, at rows."""
        actions = self.data.actions[rows]
        regressors = [self.regressors[j].matrix(actions[:, [j]])]
        for other in self._others(j, k):
            pair = TensorProductBasis((self.factors[j], self.factors[other]), PRODUCT_ORDER)
            regressors += [
                self.regressors[other].matrix(actions[:, [other]]),
                pair.matrix(actions[:, [j, other]]),
            ]
        return regressors

    def obstacle(self, j: int, k: int) -> str:
        """Why the rows have no scores of a pair."""
        fine = None if self.unit is None else self.data.columns.fine_grouping
        if (j, k) not in self.regimes and (k, j) not in self.regimes:
            return "a test of two actions needs rows with neither set and rows with one of them set"
        if fine is not None:
            name = self.data.columns.every[fine]
            return f"actions are compared within each {name}, where they hardly vary"
        return "there are too few rows, or too few values with and without experiments"

    def _regimes(self, j: int, k: int) -> tuple[Mask, Mask] | None:
        """Masks with neither action set and with j set, the others alike, with most rows."""
        only_j = np.arange(len(self.data.names)) == j
        pairs = [
            (mask, other)
            for mask in self.rows
            for other in self.rows
            if not mask[j] and not mask[k] and ((np.array(mask) ^ other) == only_j).all()
        ]
        return max(pairs, key=lambda own: min(len(self.rows[mask]) for mask in own), default=None)

    def _others(self, j: int, k: int) -> Iterator[int]:
        """Other actions that may move j, and are not moved by k."""
        for other in range(len(self.data.names)):
            moves_j, moved_by_k = self._p_of_effect(other, j), self._p_of_effect(k, other)
            is_moved = moved_by_k < PRESENT and moved_by_k <= moves_j
            if other not in (j, k) and moves_j <= ABSENT and not is_moved:
                yield other

    def _p_of_effect(self, j: int, k: int) -> float:
        """P value of the effect of one action on another; zero where that one was never set."""
        score = self.effects.get((j, k))
        if score is None:
            return 0.0
        return float(chdtrc(len(score.value), score.statistic(score.value[None])[0]))

    def _score(
        self,
        rows: NDArray[np.int_],
        features: Array,
        regressors: Sequence[Array],
        k: int,
        is_free: NDArray[np.bool_],
    ) -> _Score | None:
        """Score of features in a regression of the features of action k, robust to its noise."""
        unit = None if self.unit is None else self.unit[rows]
        columns = np.column_stack([np.ones(len(rows)), self.observed_causes[rows], *regressors])
        span = orthonormal_basis(_within(columns, unit), MIN_REGRESSOR)
        count = len(rows) if unit is None else len(rows) - len(np.unique(unit))
        degrees = count - span.shape[1]
        if degrees < count / 2:
            return None

        def remainder(columns: Array) -> Array:
            return np.asarray(columns - span @ (span.T @ columns))

        responses = self.responses[k][rows]
        responses = responses - responses.mean(axis=0)
        lengths = [np.sqrt((columns**2).sum(axis=0)) for columns in (features, responses)]
        features, responses = _within(features, unit), _within(responses, unit)
        left, _ = _whiten(remainder(features), lengths[0], MIN_FEATURE)
        right, scale = _whiten(remainder(responses), lengths[1], MIN_RESPONSE)
        if not left.shape[1] or not right.shape[1]:
            return None
        each = (left[:, :, None] * right[:, None, :]).reshape(len(rows), -1)
        if unit is not None:
            rows, each = sums_by_unit(each, unit)
        covariance = each.T @ each * (count / degrees)
        # A standardised response that the leading feature determines where neither is set.
        leading, response = features[:, 0], remainder(responses)[:, 0]
        spread = float(np.std(leading[is_free])) if is_free.any() else 0.0
        sd = float(np.std(response[is_free])) / spread if spread else 0.0
        moved = np.zeros_like(responses)
        moved[:, 0] = sd * leading
        shift = (left.T @ remainder(moved) @ scale).ravel()
        own = remainder(leading[:, None])[:, 0]
        slope = float(own @ response) / max(float(own @ own), 1e-300)
        return _Score(
            each.sum(axis=0),
            RowScores(rows, each * np.sqrt(count / degrees)),
            np.linalg.pinv(covariance),
            shift,
            abs(slope) / sd if sd else 0.0,
        )


def _one_row_per_unit(data: Observations) -> Observations:
    """Rows, or the first of each unit of a fine grouping in which actions hardly vary.

    The others repeat it, and within the unit there is nothing to compare.
    """
    if data.fine_group is None:
        return data
    _, first, unit = np.unique(data.fine_group, return_index=True, return_inverse=True)
    columns = np.column_stack([data.actions, data.intervened])
    columns = columns - columns.mean(axis=0)
    left = (_within(columns, unit) ** 2).sum(axis=0)
    hardly_vary = (left <= MIN_FEATURE**2 * (columns**2).sum(axis=0)).all()
    return data.take(np.sort(first)) if hardly_vary else data


def _within(columns: Array, unit: NDArray[np.intp] | None) -> Array:
    """Subtract the mean of each unit, if there are units; columns constant in units become zero."""
    if unit is None:
        return columns
    units, sums = sums_by_unit(columns, unit)
    at = np.searchsorted(units, unit)
    within = columns - sums[at] / np.bincount(at)[at, None]
    is_constant = (within**2).sum(axis=0) <= MIN_REGRESSOR**2 * (columns**2).sum(axis=0)
    return np.where(is_constant, 0.0, within)


def _whiten(remainder: Array, length: Array, tolerance: float) -> tuple[Array, Array]:
    """Orthonormal directions of remainders of columns with these lengths, and their weights."""
    length = np.maximum(length, 1e-300)
    left, values, right = np.linalg.svd(remainder / length, full_matrices=False)
    present = values > tolerance
    return left[:, present], (right[present] / values[present, None]).T / length[:, None]
