"""Tables and sentences of a summary: regimes, questions, actions, and the terms of a fit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Label, listed
from bayes_intgen.identification.certificates import certificates
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.regimes import Mask, mask_label
from bayes_intgen.identification.strata import Strata
from bayes_intgen.identification.verdict import Verdict
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.carryover import MAX_OTHER_WEIGHT
from bayes_intgen.posterior.adjustments import effect_modifiers
from bayes_intgen.posterior.carryover import held_in_words, rates
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    central,
    prediction_of,
    support_of,
    tails_of,
)
from bayes_intgen.posterior.surfaces import interaction_sd
from bayes_intgen.text.formats import (
    format_estimate,
    share_text,
    shorter_number,
)
from bayes_intgen.text.messages import in_words, option

# Probabilities at the ends of an action's range in a regime: 98% of its rows.
RANGE_TAILS = (0.01, 0.99)
# Probability of the interval of a standard deviation.
LEVEL = 0.9


def regime_table(regimes: Mapping[Mask, int], reference: ReferenceRows, outcome: str) -> xr.Dataset:
    """Rows of each regime, and range and levels of each action there."""
    names, shape = reference.names, (len(regimes), len(reference.names))
    low, high = np.full((2, *shape), np.nan)
    levels = np.full(shape, "", dtype=object)
    for i, mask in enumerate(regimes):
        rows = reference.rows[reference.masks.index(mask)]
        low[i], high[i] = np.quantile(rows, RANGE_TAILS, axis=0)
        for k, categories in enumerate(reference.categories):
            if categories is not None:
                levels[i, k] = listed(categories.decode(np.unique(rows[:, k])).tolist())
    dims = ("regime", "action")
    return xr.Dataset(
        {
            "rows": ("regime", list(regimes.values())),
            "was_set": (dims, np.array(list(regimes), dtype=bool)),
            "low": (dims, low),
            "high": (dims, high),
            "levels": (dims, levels.astype(str)),
        },
        coords={"regime": [mask_label(names, mask) for mask in regimes], "action": list(names)},
        attrs={"outcome": outcome},
    )


def question_table(
    regimes: Mapping[Mask, int],
    reference: ReferenceRows,
    settings: Mapping[str, tuple[Label, ...]],
    strata: Sequence[Strata],
    verdict_at: Callable[[Array, Mask], Verdict] | None,
) -> xr.Dataset:
    """Certificates and supported shares of the joint effect and of single interventions."""
    names, count = reference.names, len(reference.names)
    single = [tuple(j == k for j in range(count)) for k in range(count)]
    masks = list(dict.fromkeys([(True,) * count, *single]))
    targets = [list(compress(names, mask)) for mask in masks]
    # Findings in the rows name the covariates on which levels rest.
    groups = [own for own in strata if own.kind == "group"]
    answers = certificates(names, regimes, targets, settings, groups)
    weights = [c.to_dataframe()["weights"].tolist() for c in answers]
    points, supported = np.concatenate(reference.rows), np.full(len(masks), np.nan)
    if verdict_at is not None:
        shares = reference.shares(regimes)
        supported = np.array([shares @ verdict_at(points, mask).supported for mask in masks])
    labels = [mask_label(names, mask) for mask in regimes]
    return xr.Dataset(
        {
            "identified": ("question", [c.identified for c in answers]),
            "weights": (("question", "regime"), weights),
            "in_data": ("question", [mask in regimes for mask in masks]),
            # What the level of the first rests on, those of the others do, too.
            "certificate": ("question", [str(answers[0]), *(c.verdict for c in answers[1:])]),
            "supported": ("question", supported),
        },
        coords={"question": [mask_label(names, mask) for mask in masks], "regime": labels},
    )


def regime_lines(regimes: xr.Dataset) -> Iterator[str]:
    """Rows of each regime, with levels or ranges of the actions that it sets, or of all."""
    columns = [
        regimes[name].to_numpy().tolist()
        for name in ("regime", "rows", "was_set", "low", "high", "levels")
    ]
    width = max(len(label) for label in columns[0])
    digits = len(f"{max(columns[1]):,}")
    names = regimes["action"].to_numpy()
    for label, rows, regime_sets, *ranges in zip(*columns, strict=True):
        # Ends are quantiles of some of the rows.
        shown = [
            f", {name} at {levels or _range_in_words(low, high)}"
            for name, was_set, low, high, levels in zip(names, regime_sets, *ranges, strict=True)
            if was_set or not any(regime_sets)
        ]
        yield f"{label:<{width}}  {rows:>{digits},} rows{''.join(shown)}"


def _range_in_words(low: float, high: float) -> str:
    ends = dict.fromkeys(shorter_number(end, 3) for end in (low, high))
    return f"{'about ' * (len(ends) > 1)}{' to '.join(ends)}"


def certificate_lines(questions: xr.Dataset) -> Iterator[str]:
    """Certificates of the joint effect and of single actions; those in the data share a line."""
    yield str(questions["certificate"][0].item())
    rest = questions.isel(question=slice(1, None))
    simple = rest["in_data"].to_numpy()
    labels = rest["question"].to_numpy()[simple]
    if len(labels):
        verb = "is" if len(labels) == 1 else "are"
        yield f"{', '.join(labels)} {verb} identified: in the data."
    yield from map(str, rest["certificate"].to_numpy()[~simple])


def support_lines(questions: xr.Dataset) -> Iterator[str]:
    """Supported shares of the joint effect and of each action alone; empty if not computed."""
    labels, shares = (questions[name].to_numpy() for name in ("question", "supported"))
    if not np.isnan(shares).any():
        parts = (f"{label} {share:.0%}" for label, share in zip(labels, shares, strict=True))
        yield f"Share of rows at whose values the effect is supported: {', '.join(parts)}."


def estimate_of(draws: Array) -> str:
    """Mean of draws and their central interval, as text."""
    mean, band = format_estimate(*map(float, central(draws.ravel(), LEVEL).values()))
    return f"{mean} ({LEVEL:.0%} interval {band})"


def outcome_lines(posterior: PosteriorDraws) -> Iterator[str]:
    """Say what effects are; empty for a continuous outcome that adds up."""
    if posterior.model.link == "log":
        yield (
            f"A positive outcome that multiplies: contributions add up to "
            f"{posterior.predictor_name}; effects are means of {posterior.outcome_name} itself."
        )
    elif posterior.outcome_kind == "count":
        yield (
            "A count: effects are means, and outcomes are drawn as counts with the identified "
            "variance."
        )
    elif posterior.outcome_kind == "binary":
        yield "Zeros and ones: effects are probabilities of a one, which add up over the actions."
        points = np.concatenate(support_of(posterior).reference.rows)
        mean = prediction_of(posterior).mean(points, np.ones(points.shape, dtype=bool))
        low, high = np.quantile(mean, tails_of(LEVEL), axis=(0, 1))
        outside = float(((low < 0) | (high > 1)).mean())
        if outside:
            yield (
                "With all actions set, part of the 90% interval lies outside [0, 1] at "
                f"{share_text(outside)} of the reference rows; probabilities of single outcomes "
                "are clipped."
            )


def dependence_lines(posterior: PosteriorDraws) -> Iterator[str]:
    """Sentence on rows that follow each other; empty for a fit to rows without a time.

    Examples
    --------
    >>> list(dependence_lines(posterior))
    []
    """
    found = posterior.autocorrelation
    shown = "their residuals are not correlated"
    if found.share:
        shown = f"intervals allow for a correlation of {found.next:.2f} with the next row"
    for line in posterior.terms.covariates.order_in_words:
        yield f"{line[0].upper()}{line[1:]}; {shown}."


def population_lines(posterior: PosteriorDraws, between: xr.Dataset) -> Iterator[str]:
    """Population, covariates, effect modifiers and groups; empty for a fit without covariates.

    Parameters
    ----------
    posterior : PosteriorDraws
    between : Dataset
        From :func:`bayes_intgen.posterior.adjustments.between_groups`.

    Examples
    --------
    >>> from bayes_intgen.posterior.adjustments import between_groups
    >>> list(population_lines(posterior, between_groups(posterior)))
    []
    """
    columns, asked = posterior.terms.covariates, posterior.averages
    if not len(columns):
        return
    if asked.given or asked.over is not None:
        yield f"Answers are {asked.description}."
    else:
        unless = f"unless {option('given')} or {option('population')} says otherwise"
        yield f"Answers are an {asked.description}, {unless}."
    if columns.names:
        yield f"Adjusted for {', '.join(columns.names)}."
    for name in columns.names:
        actions = [action for action, other in effect_modifiers(posterior.terms) if other == name]
        if actions:
            effects = "effects of {} depend" if len(actions) > 1 else "effect of {} depends"
            yield f"The {effects.format(in_words(actions))} on {name}."
    for i in range(between.sizes["effect"]):
        yield _differences(between.isel(effect=i))
    spread, count = posterior.spread, len(posterior.actions)
    for at, variances in zip(spread.groupings, spread.of_groups, strict=True):
        low, high = (
            shorter_number(float(sd), 2)
            for sd in np.sqrt([variances[:-1].min(), variances[:-1].max()])
        )
        name = columns.every[at - count]
        yield f"Groups of {name} differ in their noise: sd {low} to {high} times the usual one."


def _differences(between: xr.Dataset) -> str:
    """Standard deviation between groups of one level or slope, in a sentence."""
    grouping, groups, kind, action, estimate = (
        between[name].item() for name in ("grouping", "groups", "kind", "action", "estimate")
    )
    head = f"{grouping}, {groups:,} groups:"
    what = f"{kind} of {action}" if action else kind
    if estimate == "pruned":
        return f"{head} no sign that their {what} differ."
    unit = f", per robust sd of {action}," if kind == "slopes" else ""
    sd = between["sd"].to_numpy()
    text = f"about {shorter_number(float(sd.mean()), 2)}, integrated out"
    if estimate != "integrated":
        text = estimate_of(sd)
    return f"{head} sd of their {what}{unit} {text}."


def carryover_lines(posterior: PosteriorDraws) -> Iterator[str]:
    """Rates of carry-over, what answers are about, and rows left out; empty without carry-over."""
    terms = posterior.terms
    if not terms.carryover:
        return
    yield f"Answers are about {held_in_words(terms)}, unless periods are given."
    for name, draws in rates(terms, prediction_of(posterior).coefficients).items():
        adstock = terms.carryover[name]
        rate = estimate_of(draws) if adstock.sd else f"{adstock.rate:g}, given"
        later = f", from {adstock.delay} periods later" if adstock.delay else ""
        yield f"{name} acts for {adstock.length} periods{later}: rate {rate}."
    left_out = int(posterior.tree["constant_data"]["left_out"])
    if left_out:
        yield (
            f"{left_out:,} rows are left out: over {MAX_OTHER_WEIGHT:.0%} of what acts in them is "
            "from periods without a row, or before an action was set."
        )


def interaction_lines(sizes: xr.Dataset, of: str = "") -> Iterator[str]:
    """Size of each interaction, one sentence each.

    Parameters
    ----------
    sizes : Dataset
        From :func:`bayes_intgen.posterior.surfaces.interaction_sd`.
    of : str
        What interacts, if not the actions themselves, such as "hidden causes of ".

    Examples
    --------
    >>> from bayes_intgen.posterior.surfaces import interaction_sd
    >>> list(interaction_lines(interaction_sd(posterior)))
    []
    """
    pairs = zip(sizes["first"].values, sizes["second"].values, sizes["sd"].values.T, strict=True)
    for first, second, draws in pairs:
        yield f"{of}{first} and {second} interact: sd over the rows {estimate_of(draws)}."


def assumption_lines(posterior: PosteriorDraws) -> Iterator[str]:
    """State what is taken for granted of hidden causes, and which interact; none in a regression.

    Examples
    --------
    >>> print(next(assumption_lines(posterior)).partition(":")[0])
    Hidden causes of different actions are taken to be independent
    """
    if not isinstance(posterior.model, AdditiveModel) or len(posterior.actions) == 1:
        return
    several = sum(n for mask, n in support_of(posterior).regimes.items() if sum(mask) > 1)
    shown = f"{several:,} rows with several actions set speak for or against it"
    if not several:
        shown = "no row has several actions set, which could contradict it"
    bounds = " posterior.sensitivity bounds what correlated or interacting causes would change."
    yield (
        f"Hidden causes of different actions are taken to be independent: {shown}."
        + option(bounds, command="")
    )
    hidden = interaction_sd(posterior, posterior.terms.joint_biases)
    yield from interaction_lines(hidden, "Hidden causes of ")
    if len(posterior.actions) > 2:
        yield "Interactions of three or more actions are neither fitted nor tested."
