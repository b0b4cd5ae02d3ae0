"""Findings: what is known to make answers wide or wrong, in the same words everywhere.

A guard is a function of rows or of a fit that returns sentences, each of which names columns and
values, and ends with the remedy. :func:`bayes_intgen.fit` warns of what its guards find, and the
summaries of data and of a posterior, the page of a report and the command line list it.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.assess.column_guards import advice_on_outcome, advice_on_units
from bayes_intgen.assess.diagnostics import Diagnostics
from bayes_intgen.basis.categories import Categories, spelled_label
from bayes_intgen.data.group_means import advice_on_group_means
from bayes_intgen.data.missing import dropped_in_words
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.data.suspect_rows import advice_on_changed_covariates, advice_on_copies
from bayes_intgen.data.validation import rows_needed
from bayes_intgen.errors import (
    PACKAGE,
    BayesIntgenWarning,
    DataWarning,
    LackOfFitWarning,
    SamplingWarning,
)
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.verdict import separates
from bayes_intgen.inference.pilot.lack_of_fit import fit_problems
from bayes_intgen.inference.pilot.residuals import FarOutcomes, far_outcomes_in_words
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.advice import advice_on_far_cells, advice_on_levels, few_valued
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.text.formats import shorter_number

# Maximum correlation of actions with distinguishable effects.
MAX_CORRELATION = 0.999
# Minimum share of an action's settings that support the joint effect, and of its observed values
# in the range of its settings.
MIN_COVERED_SHARE = 0.9
# Maximum number of settings of an action, evenly spaced in rank, whose support is tested.
MAX_SETTINGS = 200
# Maximum number of rows from which correlations are computed.
MAX_CORRELATED_ROWS = 50_000
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


def _listed(
    found: Mapping[str, Iterable[str]], warning: type[BayesIntgenWarning] = DataWarning
) -> list[Finding]:
    """Label the sentences of each guard."""
    return [Finding(about, text, warning) for about, texts in found.items() for text in texts]


def findings_of_rows(
    data: Rows, model: Model | None = None, reference: ReferenceRows | None = None
) -> list[Finding]:
    """Find what rows alone show, before a fit of a model; for any model if it is None.

    For rows outside memory the in-memory sample is used. ``reference`` are the rows of each regime,
    if they are known.

    Examples
    --------
    >>> findings_of_rows(data)
    []
    """
    few = few_valued(data, model)
    coordinates = None if reference is None else reference.coordinates
    # Regressions do not add up effects, and a log link multiplies them.
    adds_up = model is None or (isinstance(model, AdditiveModel) and model.link == "identity")
    return _listed(
        {
            "levels": [advice_on_levels(few)] if few else [],
            "far cells": advice_on_far_cells(data, coordinates),
            "changed covariates": advice_on_changed_covariates(data),
            "units": advice_on_units(data),
            "group means": advice_on_group_means(data.in_memory),
            "outcome": advice_on_outcome(data) if adds_up else [],
        }
    )


def findings_of_copies(data: Rows) -> list[Finding]:
    """Find copies of rows, which a fit refuses if the actions determine the outcome."""
    return _listed({"copies": advice_on_copies(data.in_memory)})


def findings_of_design(data: Rows, reference: ReferenceRows, sample: Observations) -> list[Finding]:
    """Find what regimes and ranges of the actions leave open, of which a fit does not warn.

    Parameters
    ----------
    data : Rows
    reference : ReferenceRows
        Rows of each regime.
    sample : Observations
        Rows from which shares and correlations are estimated.

    Examples
    --------
    >>> findings_of_design(data, data.reference_rows(), data)
    []
    """
    certificate = data.identify(list(data.names))
    reason = [f"the joint effect is not identified: {certificate.reason}"]
    supported = _supported_shares(sample, reference) if certificate.identified else {}
    return _listed(
        {
            "identification": [] if certificate.identified else reason,
            "regimes": _small_regimes(len(data.names), dict(certificate.rows)),
            "ranges": _outside_experiments(sample),
            "support": _unsupported_settings(data.names, supported),
            "collinear actions": _collinear(sample),
            "missing cells": dropped_in_words(data.names, data.dropped),
        }
    )


def findings_of_fit(posterior: PosteriorDraws, diagnostics: Diagnostics) -> list[Finding]:
    """Find what draws and residuals show.

    Examples
    --------
    >>> findings_of_fit(posterior, Diagnostics.of_posterior(posterior))
    []
    """
    constant = posterior.tree["constant_data"].dataset
    far = FarOutcomes.of_dataset(constant)
    outcome = repr(posterior.outcome_name)
    far_texts = [] if far is None else [far_outcomes_in_words(far, outcome)]
    return [
        *_listed({"sampling": diagnostics.problems()}, SamplingWarning),
        *_listed({"far outcomes": far_texts}),
        *findings_of_fit_tests(constant),
    ]


def findings_of_fit_tests(tests: xr.Dataset) -> list[Finding]:
    """Find structure that a fit does not follow, in its score tests."""
    return _listed({"lack of fit": fit_problems(tests)}, LackOfFitWarning)


def with_findings(tree: xr.DataTree, found: Sequence[Finding]) -> None:
    """Store the findings in the rows of a fit in its tree."""
    tree.attrs[ATTRIBUTE] = json.dumps([(own.about, own.text) for own in found])


def findings_of_posterior(posterior: PosteriorDraws, diagnostics: Diagnostics) -> list[Finding]:
    """Findings in the rows of a fit, which :func:`fit` stored, and those in its draws."""
    stored = json.loads(posterior.tree.attrs.get(ATTRIBUTE, "[]"))
    return [*(Finding(*parts) for parts in stored), *findings_of_fit(posterior, diagnostics)]


def sentences(found: Iterable[Finding], warning: type[BayesIntgenWarning]) -> tuple[str, ...]:
    """Sentences of the findings of which a fit warns in one class."""
    return tuple(finding.sentence for finding in found if finding.warning is warning)


def warn_of(found: Iterable[Finding]) -> None:
    """Issue the warning of each finding."""
    for finding in found:
        warnings.warn(finding.text, finding.warning, skip_file_prefixes=(PACKAGE,))


def _small_regimes(n_actions: int, regimes: dict[str, int]) -> Iterator[str]:
    minimum = rows_needed(n_actions)
    for label, rows in regimes.items():
        if rows < minimum:
            yield f"{label} has only {rows} rows: too few for so many actions (under {minimum})"


def _outside_experiments(sample: Observations) -> Iterator[str]:
    """Values of actions that occur only where they were set, or only where they were not."""
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


def _unsupported_settings(names: Sequence[str], supported: Mapping[int, float]) -> Iterator[str]:
    for k, share in supported.items():
        if share < MIN_COVERED_SHARE:
            yield (
                f"{names[k]}: {1 - share:.0%} of the values to which it was set do not support the "
                "joint effect: too few regimes reach them. Observe the action there without "
                "setting it, or say by a graph that it moves no other action"
            )


def _collinear(sample: Observations) -> Iterator[str]:
    rows = sample.actions[:: max(1, len(sample) // MAX_CORRELATED_ROWS)]
    with np.errstate(invalid="ignore"):  # an action may be constant in these rows
        near = np.abs(np.atleast_2d(np.corrcoef(rows, rowvar=False))) > MAX_CORRELATION
    for k, j in np.argwhere(np.tril(near, -1)):
        one, other = sample.names[j], sample.names[k]
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
    parents = [[j for j in range(count) if j != i] for i in range(count)]
    every = np.concatenate(list(reached.values()))
    supported = separates(reference.masks, every, (True,) * count, 0, parents)
    ends = np.cumsum([len(own) for own in reached.values()])[:-1]
    shares = [float(own.mean()) for own in np.split(supported, ends)]
    return dict(zip(reached, shares, strict=True))
