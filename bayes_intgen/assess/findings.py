"""Findings: what is known to make answers wide or wrong, in the same words everywhere.

A guard takes rows, a model and a posterior, and yields findings, each of which names columns and
values and ends with the remedy. One loop, :func:`findings`, runs guards: :func:`bayes_intgen.fit`
warns of what they find, and the summaries of data and of a posterior, the page of a report, the
check of the assumptions and the command line list it.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import xarray as xr

from bayes_intgen.assess.advice import (
    advice_on_changed_covariates,
    advice_on_copies,
    advice_on_far_cells,
    advice_on_group_means,
    advice_on_levels,
    advice_on_separate_covariates,
    dependent_rows_in_words,
    far_outcomes_in_words,
    few_valued,
    fit_problems,
    separate_covariates,
)
from bayes_intgen.assess.column_guards import advice_on_outcome, advice_on_units
from bayes_intgen.assess.diagnostics import Diagnostics
from bayes_intgen.basis.categories import spelled_label
from bayes_intgen.data.missing import dropped_in_words
from bayes_intgen.data.rows import Rows, rows_needed
from bayes_intgen.errors import (
    PACKAGE,
    BayesIntgenWarning,
    DataWarning,
    LackOfFitWarning,
    SamplingWarning,
)
from bayes_intgen.identification.verdict import separates
from bayes_intgen.inference.pilot.residuals import FarOutcomes
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.text.formats import shorter_number
from bayes_intgen.text.messages import first_few, option, spoken

# Maximum correlation of actions with distinguishable effects.
MAX_CORRELATION = 0.999
# Minimum share of an action's settings that support the joint effect, and of its observed values
# in the range of its settings.
MIN_COVERED_SHARE = 0.9
# Maximum number of settings of an action, evenly spaced in rank, whose support is tested.
MAX_SETTINGS = 200
# Number of rows from which support, shares and correlations are estimated.
SUMMARY_ROWS = 100_000
# Attribute of a fit's tree with the findings in its rows, of which it keeps only some.
ATTRIBUTE = "findings"


class Finding(NamedTuple):
    """Reason for wide or wrong answers.

    Attributes
    ----------
    about : str
        Name of the guard.
    text : str
        Columns, values and the remedy, without a full stop, for the middle of a sentence.
    warning : type of BayesIntgenWarning
        Class of the warning of a fit.
    """

    about: str
    text: str
    warning: type[BayesIntgenWarning] = DataWarning

    @property
    def sentence(self) -> str:
        """The text as a sentence of its own, whose end can be copied if it is code."""
        end = "" if self.text.endswith((")", "}")) else "."
        return f"{self.text[:1].upper()}{self.text[1:]}{end}"


class Guard(Protocol):
    """Function, or object that can be called, which yields findings.

    Users pass theirs to :func:`bayes_intgen.check`.
    """

    def __call__(self, rows: Any, model: Any, posterior: Any, /) -> Iterable[Finding]:
        """Look at what there is.

        Parameters
        ----------
        rows : Rows
            None for a posterior that was loaded.
        model : Model
            None for data without a model; it has the law of the outcome.
        posterior : PosteriorDraws
            None before a fit.
        """
        ...


def findings(guards: Iterable[Guard], rows: Rows, model: Model | None = None) -> list[Finding]:
    """Run guards of rows one after the other.

    Examples
    --------
    >>> findings([of_rows], data)
    []
    """
    return [finding for guard in guards for finding in guard(rows, model, None)]


def findings_of_posterior(posterior: PosteriorDraws) -> list[Finding]:
    """Findings in the rows of a fit, which :func:`fit` stored, and those in its draws."""
    of_rows = stored_findings(posterior.tree["fit"].attrs)
    return [*of_rows, *of_fit(posterior)]


def findings_of_fit_tests(tests: xr.Dataset) -> list[Finding]:
    """Find structure that a fit does not follow, in its score tests."""
    return [Finding("lack of fit", text, LackOfFitWarning) for text in fit_problems(tests)]


def store_findings(attrs: dict[Any, Any], found: Iterable[Finding]) -> None:
    """Store findings in rows as an attribute, for :func:`stored_findings`."""
    attrs[ATTRIBUTE] = json.dumps([finding[:2] for finding in found])


def stored_findings(attrs: Mapping[Any, Any]) -> list[Finding]:
    """Read findings in rows from attributes; empty without any."""
    stored = json.loads(attrs.get(ATTRIBUTE, "[]"))
    return [Finding(about, spoken(text)) for about, text in stored]


def sentences(found: Iterable[Finding], warning: type[BayesIntgenWarning]) -> tuple[str, ...]:
    """Sentences of the findings of which a fit warns in one class."""
    return tuple(finding.sentence for finding in found if finding.warning is warning)


def warn_of(found: Iterable[Finding]) -> None:
    """Issue the warning of each finding."""
    for finding in found:
        warnings.warn(spoken(finding.text), finding.warning, skip_file_prefixes=(PACKAGE,))


def of_rows(rows: Rows, model: Model | None, posterior: None = None) -> list[Finding]:
    """Guard before a fit. For rows outside memory the in-memory sample is used."""
    found = {
        "levels": advice_on_levels(few_valued(rows, model)),
        "far cells": advice_on_far_cells(rows),
    }
    if len(rows.columns):
        apart = separate_covariates(rows)
        found |= {
            "separate covariates": advice_on_separate_covariates(rows, apart),
            "changed covariates": advice_on_changed_covariates(rows, apart),
            "group means": advice_on_group_means(rows.in_memory),
        }
    found["units"] = advice_on_units(rows)
    # Regressions do not add up effects, and a log link multiplies them.
    if model is None or (isinstance(model, AdditiveModel) and model.link == "identity"):
        found["outcome"] = advice_on_outcome(rows)
    return _named(found)


def of_copies(rows: Rows, model: Model | None, posterior: Any = None) -> list[Finding]:
    """Guard after a fit, which refuses copies if the actions determine the outcome."""
    return _named({"copies": advice_on_copies(rows.in_memory)})


def of_regimes(rows: Rows, model: Model | None = None, posterior: None = None) -> list[Finding]:
    """Guard for what regimes and ranges of actions leave open, of which a fit does not warn."""
    names, minimum = rows.names, rows_needed(len(rows.names))
    certificate = rows.identify(list(names))
    actions = rows.sample(SUMMARY_ROWS).actions
    with np.errstate(invalid="ignore"):  # an action may be constant in these rows
        near = np.abs(np.atleast_2d(np.corrcoef(actions, rowvar=False))) > MAX_CORRELATION
    return _named(
        {
            "identification": []
            if certificate.identified
            else [f"the joint effect is not identified: {certificate.reason}"],
            "regimes": [
                f"{rows.label(mask)} has only {count} rows: too few for so many actions (under "
                f"{minimum})"
                for mask, count in rows.regimes.items()
                if count < minimum
            ],
            "ranges": _outside_experiments(rows),
            "support": _unsupported_settings(rows) if certificate.identified else [],
            "collinear actions": [
                f"{names[j]} and {names[k]} are nearly collinear: their effects cannot be "
                "distinguished"
                for k, j in np.argwhere(np.tril(near, -1))
            ],
            "missing cells": dropped_in_words(names, rows.dropped),
        }
    )


def of_fit(posterior: PosteriorDraws) -> list[Finding]:
    """Findings in what draws and residuals show."""
    tests = posterior.tree["constant_data"].dataset
    problems = Diagnostics.of(posterior).problems()
    far = FarOutcomes.of_dataset(tests)
    name, link = repr(posterior.outcome_name), posterior.model.link
    words = [] if far is None else [far_outcomes_in_words(far, name, link)]
    dependent = dependent_rows_in_words(posterior.autocorrelation, posterior.terms.covariates)
    return [
        *_named({"sampling": problems}, SamplingWarning),
        *_named({"far outcomes": words, "dependent rows": dependent}),
        *findings_of_fit_tests(tests),
    ]


def _named(
    texts: Mapping[str, Iterable[str]], warning: type[BayesIntgenWarning] = DataWarning
) -> list[Finding]:
    return [Finding(about, text, warning) for about, own in texts.items() for text in own]


def _outside_experiments(rows: Rows) -> Iterator[str]:
    """Values of actions that occur only where they were set, or only where they were not."""
    sample = rows.sample(SUMMARY_ROWS)
    for name, levels, values, was_set in zip(
        sample.names, sample.categories, sample.actions.T, sample.intervened.T, strict=True
    ):
        if was_set.all() or not was_set.any():
            continue
        if levels is not None:
            for here, where in ((was_set, "set"), (~was_set, "not set")):
                only = np.setdiff1d(values[here], values[~here])
                if len(only):
                    labels = ", ".join(map(spelled_label, levels.decode(only).tolist()))
                    yield (
                        f"{name}: rows in which it was {where} are at {labels}, where no others "
                        "are: answers there rest on the model"
                    )
            continue
        settings, others = values[was_set], values[~was_set]
        low, high = settings.min(), settings.max()
        covered = float(((others >= low) & (others <= high)).mean())
        if covered < MIN_COVERED_SHARE:
            yield (
                f"{name}: {1 - covered:.0%} of the rows in which it was not set lie outside the "
                f"range of its experiments, {shorter_number(low)} to {shorter_number(high)}: "
                "answers there rest on the model"
            )


def _unsupported_settings(rows: Rows) -> Iterator[str]:
    """Actions whose settings do not support the joint effect, in one sentence."""
    sample, count, found = rows.sample(SUMMARY_ROWS), len(rows.names), list[str]()
    # Without a graph an action may depend on every other, so all conditions are the same.
    reference = sample.reference_rows()
    for k, was_set in enumerate(sample.intervened.T):
        values = np.sort(sample.actions[was_set, k])
        if not len(values):
            continue
        spaced = np.linspace(0, len(values) - 1, min(len(values), MAX_SETTINGS))
        points = np.zeros((len(spaced), count))
        points[:, k] = values[spaced.round().astype(int)]
        reached = reference.covers(points, (k,))
        share = separates(reference.masks, reached, (True,) * count, range(count)).mean()
        if share < MIN_COVERED_SHARE:
            found.append(f"{rows.names[k]}: {1 - share:.0%}")
    if found:
        none = option("bi.models.additive(graph={})", command="`bayes-intgen fit --graph none`")
        yield (
            f"{first_few(found)} of the values to which it was set do not support the joint "
            "effect: too few regimes reach them. Observe the action there without setting it or, "
            f"if no action moves another, fit with {none}"
        )
