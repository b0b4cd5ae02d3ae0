"""Problems of a data set that make answers wide or wrong."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.assess.action_summary import shorter_number
from bayes_intgen.basis.categories import Categories, spelled_label
from bayes_intgen.data.missing import dropped_in_words
from bayes_intgen.data.pretreatment import advice_on_changed_covariates
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.data.validation import rows_needed
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.verdict import separates
from bayes_intgen.models.advice import advice_on_far_cells, advice_on_levels, few_valued

# Minimum number of distinct values of a continuous outcome.
MIN_OUTCOME_VALUES = 6
# Maximum correlation of actions with distinguishable effects.
MAX_CORRELATION = 0.999
# Minimum share of an action's settings that support the joint effect, and of its observed values
# in the range of its settings.
MIN_COVERED_SHARE = 0.9


def data_problems(data: Rows, reference: ReferenceRows) -> list[str]:
    """List the problems of a data set, one sentence each, from reference rows of each regime.

    Examples
    --------
    >>> data_problems(data, data.reference_rows())
    []
    """
    sample, certificate = data.in_memory, data.identify(list(data.names))
    problems = []
    if not certificate.identified:
        problems.append(f"the joint effect is not identified: {certificate.reason}")
    problems += _small_regimes(len(data.names), dict(certificate.rows))
    few = few_valued(sample)
    if few:
        problems.append(advice_on_levels(few))
    problems += advice_on_far_cells(sample)
    for k in range(len(data.names)):
        problems += _outside_experiments(sample, k)
        if certificate.identified:
            problems += _unsupported(sample, reference, k)
        problems += _collinear(sample, k)
    problems += [*dropped_in_words(data.names, data.dropped), *advice_on_changed_covariates(data)]
    distinct = len(np.unique(sample.outcome))
    if distinct < MIN_OUTCOME_VALUES:
        problems.append(
            f"the outcome has {distinct} distinct values: the model takes it to be continuous"
        )
    return problems


def _small_regimes(n_actions: int, regimes: dict[str, int]) -> Iterator[str]:
    minimum = rows_needed(n_actions)
    for label, rows in regimes.items():
        if rows < minimum:
            yield f"{label} has only {rows} rows: too few for so many actions (under {minimum})"


def _outside_experiments(sample: Observations, k: int) -> Iterator[str]:
    """Values of an action that occur only where it was set, or only where it was not."""
    name, levels = sample.names[k], sample.categories[k]
    values, was_set = sample.actions[:, k], sample.intervened[:, k]
    if was_set.all() or not was_set.any():
        return
    if levels is not None:
        yield from _exclusive_levels(name, values, was_set, levels)
        return
    low, high = values[was_set].min(), values[was_set].max()
    covered = float(((values[~was_set] >= low) & (values[~was_set] <= high)).mean())
    if covered < MIN_COVERED_SHARE:
        yield (
            f"{name}: {1 - covered:.0%} of the rows in which it was not set lie outside the range "
            f"of its experiments, {shorter_number(low)} to {shorter_number(high)}: answers there "
            "rest on the model"
        )


def _exclusive_levels(
    name: str, values: Array, was_set: NDArray[np.bool_], levels: Categories
) -> Iterator[str]:
    for here, where in ((was_set, "set"), (~was_set, "not set")):
        only = np.setdiff1d(values[here], values[~here])
        if len(only):
            labels = ", ".join(map(spelled_label, levels.decode(only).tolist()))
            yield (
                f"{name}: rows in which it was {where} are at {labels}, where no others "
                "are: answers there rest on the model"
            )


def _unsupported(sample: Observations, reference: ReferenceRows, k: int) -> Iterator[str]:
    """Settings of an action that do not support the joint effect."""
    values = sample.actions[sample.intervened[:, k], k]
    if not len(values):
        return
    count = len(sample.names)
    points = np.zeros((len(values), count))
    points[:, k] = values
    # Without a graph an action may depend on every other.
    parents = [[j for j in range(count) if j != i] for i in range(count)]
    reached = reference.covers(points, (k,))
    supported = separates(reference.masks, reached, (True,) * count, k, parents).mean()
    if supported < MIN_COVERED_SHARE:
        yield (
            f"{sample.names[k]}: {1 - supported:.0%} of the values to which it was set do not "
            "support the joint effect: too few regimes reach them. Observe the action there "
            "without setting it, or say by a graph that it moves no other action"
        )


def _collinear(sample: Observations, k: int) -> Iterator[str]:
    for j in range(k):
        correlation = np.corrcoef(sample.actions[:, j], sample.actions[:, k])[0, 1]
        if abs(correlation) > MAX_CORRELATION:
            yield (
                f"{sample.names[j]} and {sample.names[k]} are nearly collinear: their effects "
                "cannot be distinguished"
            )
