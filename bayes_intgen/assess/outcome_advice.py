"""Advice before a fit: outcomes to which effects may not add up, from their values alone."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.batches import random_rows
from bayes_intgen.data.rows import Observations, Rows

# Minimum gain in log likelihood per row, and minimum skewness of residuals of the outcome itself.
MIN_GAIN, MIN_SKEWNESS = 0.1, 0.5
# Minimum number of rows of a regime per coefficient of its regression.
MIN_ROWS = 3
# Maximum number of rows from which regressions are estimated.
MAX_ROWS = 20_000
# Minimum share of rows at the lowest or the highest value of an outcome that has a limit there.
END_SHARE = 0.05
# Share of zeros or of ones below which they are rare: probabilities then often multiply.
RARE_SHARE = 0.1
# Distance of the mean from an end of [0, 1], in standard deviations, from which it hardly matters.
FAR_FROM_END = 3.0
# Minimum growth of the ratio of a count's standard deviation to the root of its mean, from the
# lowest to the highest third of fitted means, and its minimum size in standard errors.
MIN_GROWTH, STANDARD_ERRORS = 0.05, 2.5


def advice_on_outcome(data: Rows) -> list[str]:
    """Report an outcome to which effects of several actions may not add up, in one sentence.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> advice_on_outcome(data)
    []
    """
    rows = data.in_memory
    # The effect of a single action needs no sum.
    if len(rows.names) == 1:
        return []
    outcome, kind = rows.outcome, data.outcome_kind
    transform = ""
    if kind == "binary":
        seen = _rare(outcome)
    elif seen := _at_an_end(outcome, kind == "count"):
        pass
    elif seen := _proportion(outcome):
        transform = ", or fit the log odds np.log(y / (1 - y))"
    elif kind == "count":
        sample = rows.take(random_rows(len(rows), MAX_ROWS))
        seen, transform = _growing_variance(sample), ", or fit np.log1p(y)"
    if not seen:
        return []
    several = bool((rows.intervened.sum(axis=1) > 1).any())
    remedy = "test it with bi.check" if several else "add rows in which several actions were set"
    return [
        f"outcome {rows.outcome_name!r} {seen}: effects may not add up, and intervals may be too "
        f"narrow; {remedy}{transform}"
    ]


def _rare(outcome: Array) -> str:
    share = float(outcome.mean())
    rare = min(share, 1 - share)
    return f"is {int(share < 0.5)} in only {rare:.1%} of rows" if rare < RARE_SHARE else ""


def _at_an_end(outcome: Array, counts: bool) -> str:
    """Many rows at the lowest or the highest value; a count is zero for no limit of its scale."""
    low, high = float(outcome.min()), float(outcome.max())
    shares = {"lowest": float((outcome == low).mean()), "highest": float((outcome == high).mean())}
    if counts and low == 0:
        del shares["lowest"]
    end = max(shares, key=lambda side: shares[side])
    if shares[end] < END_SHARE:
        return ""
    # Outcomes that repeat because rows do are no more frequent at an end than elsewhere.
    whole = (outcome == np.floor(outcome)).all()
    if not whole and shares[end] * len(np.unique(outcome)) < 2:
        return ""
    value = low if end == "lowest" else high
    return f"is {value:g}, its {end} value, in {shares[end]:.0%} of rows"


def _proportion(outcome: Array) -> str:
    low, high = float(outcome.min()), float(outcome.max())
    mean, reach = float(outcome.mean()), FAR_FROM_END * float(outcome.std())
    near = low >= 0 and high <= 1 and reach > min(mean, 1 - mean)
    return f"is a proportion, {low:.3g} to {high:.3g}" if near else ""


def _growing_variance(rows: Observations) -> str:
    """Counts whose variance grows faster than their mean, as if effects multiplied.

    The variance of Poisson counts is their mean, to which additive hidden causes add a constant.
    The test compares mean absolute residuals (Glejser 1969) over the root of the mean outcome.
    """
    fits = list(_outcomes_and_residuals(rows))
    if not fits:
        return ""
    outcome, left = (np.concatenate(column) for column in zip(*fits, strict=True))
    thirds = np.array_split(np.argsort(outcome - left, kind="stable"), 3)
    low, high = ((outcome[own].mean(), np.abs(left[own])) for own in (thirds[0], thirds[-1]))
    sizes, errors = zip(
        *(
            (own.mean() / np.sqrt(mean), own.std() / np.sqrt(mean * len(own)))
            for mean, own in (low, high)
        ),
        strict=True,
    )
    if sizes[1] - sizes[0] < max(MIN_GROWTH * sizes[0], STANDARD_ERRORS * np.hypot(*errors)):
        return ""
    ratios = [f"{(own**2).mean() / mean:.2g} times" for mean, own in (low, high)]
    return (
        f"has a variance of {ratios[0]} its mean near {low[0]:.3g} and {ratios[1]} near "
        f"{high[0]:.3g}"
    )


def advice_on_scale(rows: Observations) -> tuple[str, ...]:
    """Suggest the multiplicative model for an outcome that it fits better; empty otherwise.

    Examples
    --------
    >>> advice_on_scale(data)
    ()
    """
    outcome = rows.outcome
    continuous = rows.outcome_kind == "continuous" and rows.weights is None
    if not continuous or not (outcome > 0).all():
        return ()
    gain, skewness = gain_of_logarithm(rows)
    if gain < MIN_GAIN or skewness < MIN_SKEWNESS:
        return ()
    return (
        "Positive and skewed; quadratic regressions fit its logarithm better. If effects multiply, "
        "fit bi.models.multiplicative() (--multiplicative), and compare it with the additive model "
        "by az.compare.",
    )


def gain_of_logarithm(rows: Observations) -> tuple[float, float]:
    """Gain in log likelihood per row by the logarithm of the outcome, and skewness without it.

    Normal regressions in each regime on the actions and their squares. The likelihoods are of the
    outcome itself, so that they are comparable (Box and Cox 1964).
    """
    gain, standardised = 0.0, []
    logs = replace(rows, outcome=np.log(rows.outcome))
    for (outcome, raw), (_, of_log) in zip(
        _outcomes_and_residuals(rows), _outcomes_and_residuals(logs), strict=True
    ):
        sds = raw.std(), of_log.std()
        if min(sds) == 0:
            continue
        gain += len(outcome) * np.log(sds[0] / sds[1]) - np.log(outcome).sum()
        standardised.append(raw / sds[0])
    if not standardised:
        return 0.0, 0.0
    every = np.concatenate(standardised)
    return float(gain / len(every)), float(np.mean(every**3))


def _outcomes_and_residuals(rows: Observations) -> Iterator[tuple[Array, Array]]:
    """Outcome and residuals of a quadratic regression in each regime with enough rows."""
    coordinates = [Coordinate.of(column)(column) for column in rows.actions.T]
    z = np.stack(coordinates, axis=1)
    design = np.column_stack([np.ones(len(z)), z, z**2])
    for mask in rows.regimes:
        own = (rows.intervened == mask).all(axis=1)
        if own.sum() >= MIN_ROWS * design.shape[1]:
            outcome = rows.outcome[own]
            coefficients = np.linalg.lstsq(design[own], outcome)[0]
            yield outcome, outcome - design[own] @ coefficients
