"""Sentences on covariates that actions change, and on groups that have a single regime."""

from bayes_intgen.data.rows import Rows
from bayes_intgen.identification.groups import groups_under_one_mask
from bayes_intgen.identification.pretreatment import changed_covariates


def advice_on_changed_covariates(data: Rows) -> list[str]:
    """Report covariates whose distribution changes when an action is set, a sentence per pair.

    False alarms have a joint probability of 1%. For rows outside memory the in-memory sample is
    used.

    Examples
    --------
    >>> advice_on_changed_covariates(data)
    []
    """
    sample, columns = data.in_memory, data.columns
    if not columns.names:
        return []
    count = len(columns.names)
    has_levels = [levels is not None for levels in columns.categories]
    changes = changed_covariates(
        sample.covariates[:, :count], has_levels, sample.intervened, sample.covariates[:, count:]
    )
    return [
        f"covariate {columns.names[change.covariate]!r} differs between rows in which "
        f"{data.names[change.action]!r} was set and others (p = {change.p:.2g}): omit it if the "
        "action changed it, since it is then an effect of the action rather than a cause; "
        "keep it if the experiment was only made at other times or places"
        for change in changes
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
