"""What rows and fits suggest, in words: other priors, and the correction of outliers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayes_intgen.basis.categories import MAX_DISTINCT
from bayes_intgen.basis.coordinate import Coordinate, far_cells
from bayes_intgen.data.rows import Rows
from bayes_intgen.inference.pilot.lack_of_fit import LEVEL, holm
from bayes_intgen.inference.pilot.residuals import FarOutcomes
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.mechanisms.smooth import Smooth
from bayes_intgen.text.messages import first_few, quoted

# Distance from the median, in units of the coordinate's spread, beyond which cells are reported.
MAX_SPREADS = 200.0
# Number of rows of a cheap first count, which already rules out most columns.
FIRST_ROWS = 1_000
# Maximum number of pairs that a sentence names.
MAX_PAIRS = 2


def few_valued(data: Rows, model: Model | None = None) -> dict[str, list[float]]:
    """Find the numeric actions that have three to six distinct values, with these.

    Parameters
    ----------
    data : Rows
        For rows outside memory the in-memory sample is used.
    model : Model, optional
        Actions without a smooth prior in this model are skipped.

    Examples
    --------
    >>> few_valued(data)
    {}
    """
    values = {}
    columns = data.in_memory.actions.T
    for name, levels, column in zip(data.names, data.categories, columns, strict=True):
        if levels is None and len(np.unique(column[:FIRST_ROWS])) <= MAX_DISTINCT:
            distinct = np.unique(column)
            if len(distinct) <= MAX_DISTINCT and _is_smooth(name, model):
                values[name] = distinct.tolist()
    return values


def advice_on_levels(few: Mapping[str, Sequence[float]]) -> str:
    """Advise levels for actions with few distinct values.

    Examples
    --------
    >>> print(advice_on_levels({"dose": [0, 1, 2.5]}))
    'dose' takes only the values 0, 1, 2.5, too few for a smooth function: fit \
bi.models.additive(unconfounded=levels, bias=levels), levels = {"dose": bi.Levels(ordered=True)}
    """
    first, *others = few
    values = ", ".join(f"{value:g}" for value in few[first])
    subject = f"{first!r} takes only the values {values}"
    if others:
        subject += f" ({first_few([repr(name) for name in others])}: as few)"
    return (
        f"{subject}, too few for a smooth function: fit bi.models.additive(unconfounded=levels, "
        f'bias=levels), levels = {{"{first}": bi.Levels(ordered=True){", ..." * bool(others)}}}'
    )


def advice_on_far_cells(data: Rows) -> list[str]:
    """Report cells hundreds of spreads from all others, in one sentence, and long tails in another.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> advice_on_far_cells(data)
    []
    """
    sample = data.in_memory
    lone, tails = [], []
    for name, levels, values in zip(data.names, data.categories, sample.actions.T, strict=True):
        if levels is not None:
            continue
        coordinate = Coordinate.of(values)
        outliers = far_cells(values, coordinate)
        distance = np.abs(coordinate.standardise(values))
        far = outliers if outliers.size else np.flatnonzero(distance > MAX_SPREADS)
        if not far.size:
            continue
        row = far[np.argmax(distance[far])]
        # Row numbers of a sample differ from those of the table.
        place = f" in row {row}" if sample is data else ""
        cell = f"{name!r} is {values[row]:g}{place}"
        if outliers.size:
            limit = coordinate.high if values[row] > coordinate.high else coordinate.low
            lone.append(f"{cell}, treated as {limit:g}")
        else:
            tails.append(f"{cell}, {distance[row]:,.0f} spreads from the median")
    remedies = (
        (lone, "no other value is near: correct such cells, or drop the rows, if they are errors"),
        (tails, "correct errors, or use the logarithm of such an action"),
    )
    return [f"action {first_few(cells, 2)}: {remedy}" for cells, remedy in remedies if cells]


def _is_smooth(name: str, model: Model | None) -> bool:
    if model is None:
        return True
    if not isinstance(model, AdditiveModel):
        return False
    priors = (model.unconfounded.get(name, model.prior), model.bias.get(name, model.prior))
    return any(isinstance(prior, Smooth) for prior in priors)


def far_outcomes_in_words(far: FarOutcomes, outcome: str) -> str:
    """Say how far the farthest outcome is, what such outcomes do, and the remedy.

    Examples
    --------
    >>> far = FarOutcomes(3, 1, 400, 22.0, 8.0, 0.7, 17, 95.0)
    >>> far_outcomes_in_words(far, "'sales'").split(" (")[0]
    "outcome 'sales' is 95 in row 17, 22 standard deviations of the noise from the fit"
    """
    count = far.above + far.below
    place = f" in row {far.row}" if far.row >= 0 else ""
    such = "1 such row makes" if count == 1 else f"{count:,} such rows make"
    remedy = 'or use bi.models.additive(noise="student_t")'
    if count > 4 and min(far.above, far.below) <= 0.1 * count:
        side = "above" if far.above > far.below else "below"
        remedy = f"but keep real ones: nearly all lie {side}, where Student-t noise misses them"
    return (
        f"outcome {outcome} is {far.value:.6g}{place}, {far.distance:.0f} standard deviations of "
        f"the noise from the fit ({such} up {far.share:.0%} of its variance): correct errors, "
        f"{remedy}"
    )


class FailedTest(NamedTuple):
    """Failed test of the fit of an action, alone or together with another column.

    Attributes
    ----------
    action : str
    role : {"unconfounded", "bias", "interaction", "slope"}
    p : float
        P value.
    given : str
        The other action, or the grouping whose groups differ in slope; otherwise empty.
    """

    action: str
    role: str
    p: float
    given: str


def fit_problems(tests: xr.Dataset, level: float = LEVEL) -> list[str]:
    """Report actions with lack of fit, in one sentence.

    Parameters
    ----------
    tests : Dataset
        Result of :func:`fit_tests_dataset`, with the actions' names as coordinate ``action``.
    level : float
        Familywise error rate.

    Examples
    --------
    >>> fit_problems(posterior.tree["constant_data"].dataset)
    []
    """
    actions = tests["action"].values[tests["fit_action"].values]
    columns = (actions, *(tests[f"fit_{name}"].values for name in ("role", "p", "given")))
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    failed = [FailedTest(*rows[i]) for i in holm(tests["fit_p"].values.tolist(), level)]
    # Where an action alone is not followed, its pairs fail for the same reason.
    single = {test.action for test in failed if not test.given}
    joint = [
        test
        for test in failed
        if test.given and (test.role == "slope" or single.isdisjoint((test.action, test.given)))
    ]
    return [*_single_problems([test for test in failed if not test.given]), *joint_problems(joint)]


def _single_problems(failed: Sequence[FailedTest]) -> list[str]:
    """Report all functions of single actions in one sentence."""
    functions = {"unconfounded": "contribution", "bias": "confounding bias"}
    found = []
    for role, function in functions.items():
        own = [repr(test.action) for test in failed if test.role == role]
        found += [f"the {function} of {first_few(own)}"] if own else []
    if not found:
        return []
    return [
        f"the fit does not follow {' and '.join(found)} ({smallest_p(failed)}): "
        "answers may be wrong; plot the outcome against the action, and try "
        "bi.Spline(intervals=...) or bi.Levels()"
    ]


def joint_problems(failed: Sequence[FailedTest]) -> list[str]:
    """Report all pairs of actions in one sentence, and each grouping in one.

    What the fit does not follow in a pair of actions may be an interaction or a bias.

    Examples
    --------
    >>> joint_problems([FailedTest("tv", "slope", 1e-5, "region")])[0][-52:]
    "pass groups={'region': ['level', 'tv']} to the model"
    """
    sentences = []
    slopes = [test for test in failed if test.role == "slope"]
    pairs = [test for test in failed if test.role != "slope"]
    if pairs:
        every = {frozenset((test.action, test.given)): test for test in pairs}
        named = [f"{test.action!r} and {test.given!r}" for test in every.values()]
        named[MAX_PAIRS:] = [f"{len(named) - MAX_PAIRS} more pairs"] * (len(named) > MAX_PAIRS)
        sentences.append(
            f"the fit does not follow {', '.join(named)} together ({smallest_p(pairs)}): the "
            "outcome changes faster than the model's functions can. Intervals may be too narrow "
            "there; plot both, or cut one into bi.Levels()"
        )
    for grouping in dict.fromkeys(test.given for test in slopes):
        own = [test for test in slopes if test.given == grouping]
        actions = [test.action for test in own]
        sentences.append(
            f"the groups of {grouping!r} respond differently to {quoted(actions)} "
            f"({smallest_p(own)}), so that answers depend on where experiments ran; pass "
            f"groups={{{grouping!r}: {['level', *actions]!r}}} to the model"
        )
    return sentences


def smallest_p(tests: Sequence[FailedTest]) -> str:
    """Smallest p value of several tests as text, rounded up if it is very small."""
    p = min(test.p for test in tests)
    return f"p {'<' if p < 1e-4 else '='} {max(p, 1e-4):.1g}"
