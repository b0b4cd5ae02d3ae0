"""Sentences on covariates that actions change, and on groups that have a single regime."""

from bayes_intgen.data.rows import Rows
from bayes_intgen.identification.groups import groups_under_one_mask
from bayes_intgen.identification.pretreatment import changed_covariates
from bayes_intgen.text.messages import first_few


def advice_on_changed_covariates(data: Rows) -> list[str]:
    """Report covariates whose distribution changes when an action is set, in one sentence.

    False alarms have a joint probability of 1%. No action changes a date. For rows outside memory
    the in-memory sample is used.

    Examples
    --------
    >>> advice_on_changed_covariates(data)
    []
    """
    sample, columns = data.in_memory, data.columns
    tested = [i for i, name in enumerate(columns.names) if name not in columns.dates]
    if not tested:
        return []
    changes = changed_covariates(
        sample.covariates[:, tested],
        [columns.categories[i] is not None for i in tested],
        sample.intervened,
        sample.covariates[:, len(columns.names) :],
    )
    if not changes:
        return []
    covariates = dict.fromkeys(columns.names[tested[change.covariate]] for change in changes)
    actions = dict.fromkeys(data.names[change.action] for change in changes)
    which, where = (first_few([repr(name) for name in own]) for own in (covariates, actions))
    several = len(covariates) > 1
    return [
        f"covariate{'s' * several} {which} differ{'s' * (not several)} where {where} was set "
        f"(p = {min(change.p for change in changes):.2g}): omit what an action changed; keep what "
        "differs because experiments ran at other times or places"
    ]


def groups_in_words(data: Rows) -> list[str]:
    """Describe each grouping: its groups, and how many of them have a single regime.

    Examples
    --------
    >>> groups_in_words(data)
    []
    """
    sample, columns = data.in_memory, data.columns
    sentences = []
    for i, name in enumerate(columns.groups):
        codes = sample.covariates[:, len(columns.names) + i]
        one, every = groups_under_one_mask(codes, sample.intervened)
        sentence = (
            f"{name}: {len(columns.labels[i]):,} groups, {every - one:,} with rows of several "
            f"regimes and {one:,} of one"
        )
        if one:
            sentence += (
                ", where the group's level and a confounding bias are separated only by the "
                "assumption that groups are exchangeable"
            )
        sentences.append(f"{sentence}.")
    return sentences
