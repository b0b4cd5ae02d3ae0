"""Problems of a data set that make answers wide or wrong."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.assess.action_summary import shorter_number
from bayes_intgen.assess.mixed_units import advice_on_units
from bayes_intgen.assess.outcome_advice import advice_on_outcome
from bayes_intgen.basis.categories import Categories, spelled_label
from bayes_intgen.data.group_means import advice_on_group_means
from bayes_intgen.data.missing import dropped_in_words
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.data.suspect_rows import advice_on_changed_covariates
from bayes_intgen.data.validation import rows_needed
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.verdict import separates
from bayes_intgen.models.advice import advice_on_far_cells, advice_on_levels, few_valued

# Maximum correlation of actions with distinguishable effects.
MAX_CORRELATION = 0.999
# Minimum share of an action's settings that support the joint effect, and of its observed values
# in the range of its settings.
MIN_COVERED_SHARE = 0.9
# Maximum number of settings of an action, evenly spaced in rank, whose support is tested.
MAX_SETTINGS = 200
# Maximum number of rows from which correlations are computed.
MAX_CORRELATED_ROWS = 50_000


def data_problems(data: Rows, reference: ReferenceRows, sample: Observations) -> list[str]:
    """List the problems of a data set, one sentence each.

    Parameters
    ----------
    data : Rows
    reference : ReferenceRows
        Rows of each regime.
    sample : Observations
        Rows from which shares and correlations are estimated.

    Examples
    --------
    >>> data_problems(data, data.reference_rows(), data)
    []
    """
    certificate = data.identify(list(data.names))
    problems = []
    if not certificate.identified:
        problems.append(f"the joint effect is not identified: {certificate.reason}")
    problems += _small_regimes(len(data.names), dict(certificate.rows))
    few = few_valued(data)
    if few:
        problems.append(advice_on_levels(few))
    problems += advice_on_far_cells(data, reference.coordinates)
    supported = _supported_shares(sample, reference) if certificate.identified else {}
    near = _collinear(sample)
    columns = zip(data.names, sample.actions.T, sample.intervened.T, strict=True)
    for k, (name, values, was_set) in enumerate(columns):
        problems += _outside_experiments(name, sample.categories[k], values, was_set)
        if supported.get(k, 1.0) < MIN_COVERED_SHARE:
            problems.append(
                f"{name}: {1 - supported[k]:.0%} of the values to which it was set do not "
                "support the joint effect: too few regimes reach them. Observe the action there "
                "without setting it, or say by a graph that it moves no other action"
            )
        problems += [
            f"{data.names[j]} and {name} are nearly collinear: their effects cannot be "
            "distinguished"
            for j in np.flatnonzero(near[k, :k])
        ]
    problems += [*dropped_in_words(data.names, data.dropped), *advice_on_changed_covariates(data)]
    problems += [*advice_on_units(data), *advice_on_group_means(data.in_memory)]
    return [*problems, *advice_on_outcome(data)]


def _small_regimes(n_actions: int, regimes: dict[str, int]) -> Iterator[str]:
    minimum = rows_needed(n_actions)
    for label, rows in regimes.items():
        if rows < minimum:
            yield f"{label} has only {rows} rows: too few for so many actions (under {minimum})"


def _outside_experiments(
    name: str, levels: Categories | None, values: Array, was_set: NDArray[np.bool_]
) -> Iterator[str]:
    """Values of an action that occur only where it was set, or only where it was not."""
    if was_set.all() or not was_set.any():
        return
    if levels is not None:
        for here, where in ((was_set, "set"), (~was_set, "not set")):
            only = np.setdiff1d(values[here], values[~here])
            if len(only):
                labels = ", ".join(map(spelled_label, levels.decode(only).tolist()))
                yield (
                    f"{name}: rows in which it was {where} are at {labels}, where no others "
                    "are: answers there rest on the model"
                )
        return
    settings, others = values[was_set], values[~was_set]
    low, high = settings.min(), settings.max()
    covered = float(((others >= low) & (others <= high)).mean())
    if covered < MIN_COVERED_SHARE:
        yield (
            f"{name}: {1 - covered:.0%} of the rows in which it was not set lie outside the range "
            f"of its experiments, {shorter_number(low)} to {shorter_number(high)}: answers there "
            "rest on the model"
        )


def _supported_shares(sample: Observations, reference: ReferenceRows) -> dict[int, float]:
    """Shares of the settings of each action that support the joint effect."""
    count = len(sample.names)
    reached = {}
    columns = zip(sample.actions.T, sample.intervened.T, strict=True)
    for k, (column, was_set) in enumerate(columns):
        values = np.sort(column[was_set])
        if len(values):
            spaced = np.linspace(0, len(values) - 1, min(len(values), MAX_SETTINGS))
            points = np.zeros((len(spaced), count))
            points[:, k] = values[spaced.round().astype(int)]
            reached[k] = reference.covers(points, (k,))
    if not reached:
        return {}
    # Without a graph an action may depend on every other, so all conditions are the same.
    parents = [[j for j in range(count) if j != i] for i in range(count)]
    every = np.concatenate(list(reached.values()))
    supported = separates(reference.masks, every, (True,) * count, 0, parents)
    ends = np.cumsum([len(own) for own in reached.values()])[:-1]
    shares = [float(own.mean()) for own in np.split(supported, ends)]
    return dict(zip(reached, shares, strict=True))


def _collinear(sample: Observations) -> NDArray[np.bool_]:
    """Whether each pair of actions is nearly collinear, shape (K, K)."""
    rows = sample.actions[:: max(1, len(sample) // MAX_CORRELATED_ROWS)]
    with np.errstate(invalid="ignore"):  # an action may be constant in these rows
        return np.abs(np.atleast_2d(np.corrcoef(rows, rowvar=False))) > MAX_CORRELATION
