"""What rows and fits suggest, in words: other priors and columns, and the correction of rows."""

import json
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import ndtri

from bayes_intgen.basis.categories import MAX_DISTINCT
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.covariates import CovariateColumns
from bayes_intgen.data.group_means import GroupMoments, mean_name, varying_actions
from bayes_intgen.data.rows import Observations, Rows, random_rows
from bayes_intgen.data.validation import MIN_COPIES_SHARE, Replicates, hardly_repeats, is_discrete
from bayes_intgen.identification.pretreatment import MAX_ROWS, changed_covariates
from bayes_intgen.identification.regimes import groups_under_one_mask
from bayes_intgen.identification.strata import in_one_sentence, rests_on
from bayes_intgen.inference.pilot.lack_of_fit import failed_tests
from bayes_intgen.inference.pilot.residuals import FarOutcomes
from bayes_intgen.inference.settings import Autocorrelation
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.laws import Link
from bayes_intgen.models.mechanisms.smooth import Smooth
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import first_few, in_both, in_words, option, quoted, some_of

# Distance from the median, in units of the coordinate's spread, beyond which cells are reported.
MAX_SPREADS = 200.0
# Number of rows of a cheap first count, which already rules out most columns.
FIRST_ROWS = 1_000
# P value, over all actions, below which groups differ in their usual actions.
GROUPS_LEVEL = 1e-4
# Correlation of neighbours from which it is reported: a tenth widens intervals by a tenth.
MIN_CORRELATION = 0.1
# Maximum number of pairs that a sentence names.
MAX_PAIRS = 2
# Roles of tests whether effects differ between rows.
MODIFIERS = ("moderator", "slope")


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


def advice_on_levels(few: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Advise levels for actions with few distinct values, in one sentence.

    Examples
    --------
    >>> print(next(advice_on_levels({"dose": [0, 1, 2.5]})).split(":")[0])
    'dose' takes only the values 0, 1, 2.5, too few for a smooth function
    """
    if not few:
        return
    first, *others = few
    values = ", ".join(map(format_number, few[first]))
    subject = f"{first!r} takes only the values {values}"
    if others:
        subject += f" ({first_few([repr(name) for name in others])}: as few)"
    yield f"{subject}, too few for a smooth function: fit " + in_both(
        "bi.models.additive(unconfounded=levels, bias=levels), "
        f'levels = {{"{first}": bi.Levels(ordered=True){", ..." * bool(others)}}}',
        f"it with --levels {shlex.quote(','.join(few))}",
    )


def advice_on_far_cells(data: Rows) -> Iterator[str]:
    """Report cells that are far from all others, in one sentence, and long tails in another.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> list(advice_on_far_cells(data))
    []
    >>> doses = np.append(np.linspace(0, 1, 80), [50, 60])[:, None]
    >>> rows = bi.RegimeData.from_arrays(doses, np.arange(82.0), doses < 0.5, ["dose"])
    >>> print(*advice_on_far_cells(rows))
    action 'dose' is 60 in row 81, 155 spreads from the median: correct errors, or use the \
logarithm of such an action
    """
    sample = data.in_memory
    lone, tails = [], []
    for name, levels, values in zip(data.names, data.categories, sample.actions.T, strict=True):
        if levels is not None:
            continue
        coordinate = Coordinate.of(values)
        outliers = np.flatnonzero((values < coordinate.low) | (values > coordinate.high))
        distance = np.abs(coordinate.standardise(values))
        in_tails = (distance > MAX_SPREADS) | coordinate.beyond_gaps(values)
        far = outliers if outliers.size else np.flatnonzero(in_tails)
        if not far.size:
            continue
        row = far[np.argmax(distance[far])]
        # Row numbers of a sample, or after others were left out, differ from those of the table.
        place = f" in row {row}" if sample is data and sample.is_whole else ""
        cell = f"{name!r} is {format_number(values[row])}{place}"
        if outliers.size:
            limit = coordinate.high if values[row] > coordinate.high else coordinate.low
            lone.append(f"{cell}, treated as {format_number(limit)}")
        else:
            tails.append(f"{cell}, {distance[row]:,.0f} spreads from the median")
    for cells, remedy in (
        (lone, "no other value is near: correct such cells, or drop the rows, if they are errors"),
        (tails, "correct errors, or use the logarithm of such an action"),
    ):
        if cells:
            yield f"action {first_few(cells, 2)}: {remedy}"


def dependent_rows_in_words(found: Autocorrelation, columns: CovariateColumns) -> Iterator[str]:
    """Report neighbours that resemble each other though rows have no time, in one sentence.

    Examples
    --------
    >>> columns = CovariateColumns(groups=("shop",))
    >>> found = Autocorrelation(1, 0.4, 1, time="day", unit="shop")
    >>> print(*dependent_rows_in_words(found, columns))
    neighbouring rows resemble each other (residuals correlate by 0.4 in the order of 'day' within \
'shop'), so that intervals are too narrow: pass time='day', unit='shop'
    """
    if columns.time or found.next < MIN_CORRELATION:
        return
    where = f"'{found.time}'" if found.time else "the table"
    within = f" within {found.unit!r}" if found.unit else ""
    known = [(role, name) for role in ("time", "unit") if (name := getattr(found, role))]
    remedy = option(
        "pass " + ", ".join(f"{role}={name!r}" for role, name in known),
        command="add " + " ".join(f"--{role} {shlex.quote(name)}" for role, name in known),
    )
    if not known:
        columns_of = option("pass time= and unit=", command="name them by --time and --unit")
        remedy = f"if rows have a time, and a unit such as a region, {columns_of}"
    yield (
        f"neighbouring rows resemble each other (residuals correlate by {found.next:.2g} in the "
        f"order of {where}{within}), so that intervals are too narrow: {remedy}"
    )


def _is_smooth(name: str, model: Model | None) -> bool:
    if not isinstance(model, AdditiveModel):
        return model is None
    priors = (model.unconfounded.get(name, model.prior), model.bias.get(name, model.prior))
    return any(isinstance(prior, Smooth) for prior in priors)


def separate_covariates(data: Rows) -> dict[str, str]:
    """Find covariates on whose functions the level of the joint effect rests, with the reasons.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> separate_covariates(data)
    {}
    """
    strata = [own for own in data.in_memory.strata() if own.kind != "group"]
    return rests_on(data.names, strata, (True,) * len(data.names))


def advice_on_separate_covariates(data: Rows, found: Mapping[str, str]) -> Iterator[str]:
    """Report what :func:`separate_covariates` found, in one sentence.

    Examples
    --------
    >>> list(advice_on_separate_covariates(data, {}))
    []
    """
    if found:
        remedy = "add history at the dates of experiments"
        if next(iter(found)) not in data.columns.times:
            remedy = "add history there, or omit it if an action changes it"
        yield f"{in_one_sentence(found)}; {remedy}"


def advice_on_changed_covariates(data: Rows, reported: Collection[str] = ()) -> Iterator[str]:
    """Report covariates that actions seem to change, in one sentence.

    False alarms have a joint probability of 1%. No action changes a time, and some are
    ``reported`` already. Many rows are sampled.

    Examples
    --------
    >>> list(advice_on_changed_covariates(data))
    []
    """
    rows, columns = data.in_memory.by_time, data.columns
    rows = rows.take(random_rows(len(rows), MAX_ROWS))
    dates = [i for i, name in enumerate(columns.names) if name in columns.times]
    tested = [i for i, name in enumerate(columns.names) if i not in dates and name not in reported]
    groups, times = rows.covariates[:, len(columns.names) :], rows.covariates[:, dates]
    if rows.series is not None:
        groups = np.column_stack([groups, rows.series])
    changes = changed_covariates(
        rows.covariates[:, tested],
        rows.actions,
        [own is not None for own in (*(columns.categories[i] for i in tested), *data.categories)],
        rows.intervened,
        groups,
        times,
    )
    consequences = [change for change in changes if change.by_value]
    known = {change.covariate for change in consequences}
    others = [change for change in changes if change.covariate not in known]
    at_other_times = "keep {} only if experiments ran at other times or places"
    parts = []
    for found, verb, where, remedy in (
        (consequences, "depend{} on", "where that was set", "omit {}"),
        (others, "differ{} where", "was set", at_other_times),
    ):
        if found:
            names = [*dict.fromkeys(repr(columns.names[tested[own.covariate]]) for own in found)]
            actions = [*dict.fromkeys(repr(data.names[own.action]) for own in found)]
            s, them = ("", "them") if len(names) > 1 else ("s", "it")
            parts.append(
                f"covariate{'s' * (len(names) > 1)} {first_few(names)} {verb.format(s)} "
                f"{first_few(actions)} {where} (p = {min(own.p for own in found):.2g}): "
                + remedy.format(them)
            )
    if parts:
        yield "; ".join(parts)


def advice_on_group_means(data: Observations) -> Iterator[str]:
    """Report many groups that differ in their usual actions, in one sentence.

    Examples
    --------
    >>> list(advice_on_group_means(data))
    []
    """
    unit, columns = data.fine_group, data.columns
    actions = [] if unit is None else varying_actions(data, unit)
    if unit is None or not actions:
        return
    grouping = columns.every[columns.fine_grouping or 0]
    z = GroupMoments(data, unit, actions).z
    names = [
        repr(data.names[k])
        for k, own in zip(actions, z, strict=True)
        if own > -ndtri(GROUPS_LEVEL / len(z))
        and mean_name(data.names[k], grouping) not in columns.names
    ]
    if names:
        yield (
            f"groups of {grouping!r} differ in their usual {first_few(names)}, which may bias all "
            f"effects: use {in_both('data.with_group_means()', '--group-means')}"
        )


def advice_on_copies(data: Observations) -> list[str]:
    """Report exact copies of rows, if a tenth of the rows or more are copies, in one sentence."""
    if hardly_repeats(data) or is_discrete(data.outcome):
        return []
    copies = Replicates.of(data).copies
    if copies < MIN_COPIES_SHARE * len(data):
        return []
    return [
        f"{copies} of {len(data)} rows are exact copies of others, which a fit treats as "
        "independent, so intervals are too narrow: drop them unless they are measurements"
    ]


def groups_in_words(data: Rows) -> Iterator[str]:
    """Describe each grouping: its groups, and how many of them have a single regime.

    Examples
    --------
    >>> list(groups_in_words(data))
    []
    """
    sample, columns = data.in_memory, data.columns
    for i, name in enumerate(columns.groups):
        codes = sample.covariates[:, len(columns.names) + i]
        one, every = groups_under_one_mask(codes, sample.intervened)
        yield (
            f"{name}: {len(columns.labels[i]):,} groups, {every - one:,} with rows of several "
            f"regimes and {one:,} of one."
        )


def far_outcomes_in_words(far: FarOutcomes, outcome: str, link: Link = "identity") -> str:
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
    remedy = f", or fit with {option('noise', 'student_t')}"
    if link == "log":
        # Under Student-t noise the outcome would have no mean.
        remedy = ""
    elif count > 4 and min(far.above, far.below) <= 0.1 * count:
        side = "above" if far.above > far.below else "below"
        remedy = f", but keep real ones: nearly all lie {side}, where Student-t noise misses them"
    return (
        f"outcome {outcome} is {format_number(far.value)}{place}, {far.distance:.0f} standard "
        f"deviations of the noise from the fit ({such} up {far.share:.0%} of its variance): "
        f"correct errors{remedy}"
    )


class FailedTest(NamedTuple):
    """Failed test of the fit of an action, alone or together with another column.

    Attributes
    ----------
    action : str
    role : {"unconfounded", "bias", "interaction", "moderator", "slope", "jump"}
    p : float
        P value.
    given : str
        The other action, the covariate on which the effect depends, or the grouping whose groups
        differ in slope; otherwise empty.
    """

    action: str
    role: str
    p: float
    given: str


def fit_problems(tests: xr.Dataset) -> Iterator[str]:
    """Report actions with lack of fit: alone in one sentence, pairs and groupings in others.

    Parameters
    ----------
    tests : Dataset
        Result of :func:`fit_tests_dataset`.

    Examples
    --------
    >>> list(fit_problems(posterior.tree["constant_data"].dataset))
    []
    """
    columns = (tests[f"fit_{name}"].values.tolist() for name in FailedTest._fields)
    failed = failed_tests([*map(FailedTest, *columns)])
    alone = [test for test in failed if not test.given]
    yield from _single_problems(alone)
    # Where an action alone is not followed, its pairs fail for the same reason.
    single = {test.action for test in alone}
    yield from joint_problems(
        [
            test
            for test in failed
            if test.given
            and (test.role in MODIFIERS or single.isdisjoint((test.action, test.given)))
        ]
    )


def _single_problems(failed: Sequence[FailedTest]) -> Iterator[str]:
    """Report all functions of single actions in one sentence."""
    functions = {"unconfounded": "contribution", "bias": "confounding bias"}
    found = []
    for role, function in functions.items():
        own = [repr(test.action) for test in failed if test.role == role]
        found += [f"the {function} of {first_few(own)}"] if own else []
    if found:
        remedy = option(
            "bi.Spline(intervals=...) or bi.Levels()", command="--prior spline or --levels"
        )
        yield (
            f"the fit does not follow {' and '.join(found)} ({smallest_p(failed)}): "
            f"answers may be wrong; plot the outcome against the action, and try {remedy}"
        )


def joint_problems(failed: Sequence[FailedTest]) -> Iterator[str]:
    """Report all pairs of actions in one sentence, all moderators, and each grouping in one.

    What the fit does not follow in a pair of actions may be an interaction or a bias.

    Examples
    --------
    >>> next(joint_problems([FailedTest("tv", "slope", 1e-5, "region")]))[-52:]
    "pass groups={'region': ['level', 'tv']} to the model"
    """
    slopes = [test for test in failed if test.role == "slope"]
    moderated = [test for test in failed if test.role == "moderator"]
    pairs = [test for test in failed if test.role not in MODIFIERS]
    if pairs:
        every = {frozenset((test.action, test.given)): test for test in pairs}
        named = [f"{test.action!r} and {test.given!r}" for test in every.values()]
        shown = ", ".join(some_of(named, MAX_PAIRS, "{} more pairs"))
        yield (
            f"the fit does not follow {shown} together ({smallest_p(pairs)}): the "
            "outcome changes faster than the model's functions can. Intervals may be too narrow "
            "there; plot both, or cut one into levels"
        )
    if moderated:
        moderators: dict[str, list[str]] = {}
        for test in moderated:
            moderators.setdefault(test.action, []).append(test.given)
        yield moderation(moderators, smallest_p(moderated))
    for grouping in dict.fromkeys(test.given for test in slopes):
        own = [test for test in slopes if test.given == grouping]
        actions = [test.action for test in own]
        remedy = option(
            f"pass groups={{{grouping!r}: {['level', *actions]!r}}} to the model",
            command="a model made in Python can let them",
        )
        yield (
            f"the groups of {grouping!r} respond differently to {quoted(actions)} "
            f"({smallest_p(own)}), so that answers depend on where experiments ran; {remedy}"
        )


def moderation(moderators: Mapping[str, Sequence[str]], p: str) -> str:
    """Say on which covariates effects depend, and which option of the model lets them.

    Examples
    --------
    >>> moderation({"tv": ["age"]}, "p = 0.001")[-57:]
    '(p = 0.001); pass moderators={"tv": ["age"]} to the model'
    """
    effects = "; ".join(f"that of {k} on {in_words(own)}" for k, own in moderators.items())
    pairs = ",".join(f"{k}:{name}" for k, own in moderators.items() for name in own)
    remedy = option(
        f"pass moderators={json.dumps(moderators)} to the model",
        command=f"to let them, fit with --moderators {shlex.quote(pairs)}",
    )
    return f"effects depend on covariates: {effects} ({p}); {remedy}"


def smallest_p(tests: Sequence[FailedTest]) -> str:
    """Smallest p value of several tests as text, rounded up if it is very small."""
    p = min(test.p for test in tests)
    return f"p {'<' if p < 1e-4 else '='} {max(p, 1e-4):.1g}"
