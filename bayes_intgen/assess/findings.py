"""Findings: what is known to make answers wide or wrong, in the same words everywhere.

A guard takes rows, a model and a posterior, and yields findings, each of which names columns and
values and ends with the remedy. One loop, :func:`findings`, runs guards: :func:`bayes_intgen.fit`
warns of what they find, and the summaries of data and of a posterior, the page of a report, the
check of the assumptions and the command line list it.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.assess.advice import (
    advice_on_far_cells,
    advice_on_levels,
    far_outcomes_in_words,
    few_valued,
    fit_problems,
)
from bayes_intgen.assess.column_guards import advice_on_outcome, advice_on_units
from bayes_intgen.assess.diagnostics import Diagnostics
from bayes_intgen.basis.categories import Categories, spelled_label
from bayes_intgen.data.missing import dropped_in_words
from bayes_intgen.data.rows import Observations, Rows, rows_needed
from bayes_intgen.data.validation import (
    advice_on_changed_covariates,
    advice_on_copies,
    advice_on_group_means,
)
from bayes_intgen.errors import (
    PACKAGE,
    BayesIntgenWarning,
    DataWarning,
    LackOfFitWarning,
    SamplingWarning,
)
from bayes_intgen.identification.graph import parents_of
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.verdict import separates
from bayes_intgen.inference.pilot.residuals import FarOutcomes
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.text.formats import shorter_number

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
        return f"{self.text[0].upper()}{self.text[1:]}{end}"


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


class TextGuard(NamedTuple):
    """Guard that reports sentences under one name and in one class of warnings.

    Attributes
    ----------
    about : str
    texts : callable
        Takes rows, model and posterior.
    warning : type of BayesIntgenWarning
    """

    about: str
    texts: Callable[[Any, Any, Any], Iterable[str]]
    warning: type[BayesIntgenWarning] = DataWarning

    def __call__(self, rows: Any, model: Any, posterior: Any, /) -> Iterator[Finding]:
        """Label the sentences."""
        for text in self.texts(rows, model, posterior):
            yield Finding(self.about, text, self.warning)


def findings(
    guards: Iterable[Guard],
    rows: Rows | None = None,
    model: Model | None = None,
    posterior: PosteriorDraws | None = None,
) -> list[Finding]:
    """Run guards one after the other.

    Examples
    --------
    >>> findings(OF_ROWS, data)
    []
    """
    return [finding for guard in guards for finding in guard(rows, model, posterior)]


def findings_of_posterior(posterior: PosteriorDraws) -> list[Finding]:
    """Findings in the rows of a fit, which :func:`fit` stored, and those in its draws."""
    found = findings(OF_FIT, model=posterior.model, posterior=posterior)
    return [*stored_findings(posterior.tree.attrs), *found]


def findings_of_fit_tests(tests: xr.Dataset) -> list[Finding]:
    """Find structure that a fit does not follow, in its score tests."""
    return [Finding("lack of fit", text, LackOfFitWarning) for text in fit_problems(tests)]


def store_findings(attrs: dict[Any, Any], found: Iterable[Finding]) -> None:
    """Store findings in rows as an attribute, for :func:`stored_findings`."""
    attrs[ATTRIBUTE] = json.dumps([finding[:2] for finding in found])


def stored_findings(attrs: Mapping[Any, Any]) -> list[Finding]:
    """Read findings in rows from attributes; empty without any."""
    return [Finding(*parts) for parts in json.loads(attrs.get(ATTRIBUTE, "[]"))]


def sentences(found: Iterable[Finding], warning: type[BayesIntgenWarning]) -> tuple[str, ...]:
    """Sentences of the findings of which a fit warns in one class."""
    return tuple(finding.sentence for finding in found if finding.warning is warning)


def warn_of(found: Iterable[Finding]) -> None:
    """Issue the warning of each finding."""
    for finding in found:
        warnings.warn(finding.text, finding.warning, skip_file_prefixes=(PACKAGE,))


def _few_values(rows: Rows, model: Model | None) -> list[str]:
    few = few_valued(rows, model)
    return [advice_on_levels(few)] if few else []


def _not_additive(rows: Rows, model: Model | None) -> list[str]:
    # Regressions do not add up effects, and a log link multiplies them.
    adds_up = model is None or (isinstance(model, AdditiveModel) and model.link == "identity")
    return advice_on_outcome(rows) if adds_up else []


def _far_outcomes(posterior: PosteriorDraws) -> list[str]:
    far = FarOutcomes.of_dataset(posterior.tree["constant_data"].dataset)
    return [] if far is None else [far_outcomes_in_words(far, repr(posterior.outcome_name))]


def _not_identified(rows: Rows) -> Iterator[str]:
    certificate = rows.identify(list(rows.names))
    if not certificate.identified:
        yield f"the joint effect is not identified: {certificate.reason}"


def _small_regimes(rows: Rows) -> Iterator[str]:
    minimum = rows_needed(len(rows.names))
    for mask, count in rows.regimes.items():
        if count < minimum:
            label = rows.label(mask)
            yield f"{label} has only {count} rows: too few for so many actions (under {minimum})"


def _outside_experiments(rows: Rows) -> Iterator[str]:
    """Values of actions that occur only where they were set, or only where they were not."""
    sample = rows.sample(SUMMARY_ROWS)
    for name, levels, values, was_set in zip(
        sample.names, sample.categories, sample.actions.T, sample.intervened.T, strict=True
    ):
        if was_set.all() or not was_set.any():
            continue
        if levels is not None:
            yield from _levels_outside(name, levels, values, was_set)
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


def _levels_outside(
    name: str, levels: Categories, values: Array, was_set: NDArray[np.bool_]
) -> Iterator[str]:
    for here, where in ((was_set, "set"), (~was_set, "not set")):
        only = np.setdiff1d(values[here], values[~here])
        if len(only):
            labels = ", ".join(map(spelled_label, levels.decode(only).tolist()))
            yield (
                f"{name}: rows in which it was {where} are at {labels}, where no others are: "
                "answers there rest on the model"
            )


def _unsupported_settings(rows: Rows) -> Iterator[str]:
    if not rows.identify(list(rows.names)).identified:
        return
    sample = rows.sample(SUMMARY_ROWS)
    for k, share in _supported_shares(sample, sample.reference_rows()).items():
        if share < MIN_COVERED_SHARE:
            yield (
                f"{rows.names[k]}: {1 - share:.0%} of the values to which it was set do not "
                "support the joint effect: too few regimes reach them. Observe the action there "
                "without setting it, or say by a graph that it moves no other action"
            )


def _collinear(rows: Rows) -> Iterator[str]:
    actions = rows.sample(SUMMARY_ROWS).actions
    with np.errstate(invalid="ignore"):  # an action may be constant in these rows
        near = np.abs(np.atleast_2d(np.corrcoef(actions, rowvar=False))) > MAX_CORRELATION
    for k, j in np.argwhere(np.tril(near, -1)):
        one, other = rows.names[j], rows.names[k]
        yield f"{one} and {other} are nearly collinear: their effects cannot be distinguished"


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
    parents = parents_of(sample.names, None)
    every = np.concatenate(list(reached.values()))
    supported = separates(reference.masks, every, (True,) * count, [0], parents)
    ends = np.cumsum([len(own) for own in reached.values()])[:-1]
    shares = [float(own.mean()) for own in np.split(supported, ends)]
    return dict(zip(reached, shares, strict=True))


# Before a fit. For rows outside memory the in-memory sample is used.
OF_ROWS: tuple[Guard, ...] = (
    TextGuard("levels", lambda rows, model, _: _few_values(rows, model)),
    TextGuard("far cells", lambda rows, *_: advice_on_far_cells(rows)),
    TextGuard("changed covariates", lambda rows, *_: advice_on_changed_covariates(rows)),
    TextGuard("units", lambda rows, *_: advice_on_units(rows)),
    TextGuard("group means", lambda rows, *_: advice_on_group_means(rows.in_memory)),
    TextGuard("outcome", lambda rows, model, _: _not_additive(rows, model)),
)
# After a fit, which refuses copies if the actions determine the outcome.
OF_COPIES: tuple[Guard, ...] = (
    TextGuard("copies", lambda rows, *_: advice_on_copies(rows.in_memory)),
)
# What regimes and ranges of the actions leave open, of which a fit does not warn.
OF_REGIMES: tuple[Guard, ...] = (
    TextGuard("identification", lambda rows, *_: _not_identified(rows)),
    TextGuard("regimes", lambda rows, *_: _small_regimes(rows)),
    TextGuard("ranges", lambda rows, *_: _outside_experiments(rows)),
    TextGuard("support", lambda rows, *_: _unsupported_settings(rows)),
    TextGuard("collinear actions", lambda rows, *_: _collinear(rows)),
    TextGuard("missing cells", lambda rows, *_: dropped_in_words(rows.names, rows.dropped)),
)
# What draws and residuals show.
OF_FIT: tuple[Guard, ...] = (
    TextGuard(
        "sampling", lambda _, __, fit: Diagnostics.of_posterior(fit).problems(), SamplingWarning
    ),
    TextGuard("far outcomes", lambda _, __, fit: _far_outcomes(fit)),
    lambda _, __, fit: findings_of_fit_tests(fit.tree["constant_data"].dataset),
)
