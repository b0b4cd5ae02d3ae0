"""Tests of the assumptions that the data can contradict.

`check` tests the mean of the additive model against every alternative that the regimes in the data
can reveal (`hypotheses`), the variance where several actions are set (`score_tests`), and each pair
of actions for a shared hidden cause, and for an experiment on one that changes how the other is set
(`shared_causes`), and the shapes that the model gives effects (`shapes`). It compares the model
with a regression per regime on held-out rows. The strongest tests compare mean and variance of rows
with several actions set with what the other rows predict.

Notes
-----
The tests of the mean detect deviations of the regimes in the data from one additive mean. With one
action set at a time they detect an interaction that is the same in all regimes, of actions that the
model holds to be additive, because sum_j m_j - (K - 1) m_0 is then no sum of functions of one
action each. They cannot detect one that the biases offset: add psi(a_1, a_2) to the joint effect of
two actions and subtract it from the biases as it would arise if the hidden causes interacted too,
so that do(1) + do(2) - observational stays the same. Two such worlds agree on every row with at
most one action set (``analyses/non_identifiable.py`` draws a pair of them), so that no test of such
rows can distinguish them; rows with both actions set do.

Given the actions, the tests of the mean are calibrated whatever the law of the actions, on which
alone the tests of pairs of actions depend, so that these two families are independent. Means and
mean squares of residuals are at most weakly dependent. The smallest of the familywise p values is
therefore corrected as that of independent tests (Sidak 1967).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayes_intgen._arguments import instance, items, probability, seed_number
from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._work import single_blas_thread
from bayes_intgen.assess.advice import moderation
from bayes_intgen.assess.bootstrap import BootstrapResult, Untested
from bayes_intgen.assess.findings import (
    Finding,
    Guard,
    findings,
    findings_of_fit_tests,
    of_copies,
    of_rows,
    store_findings,
    stored_findings,
)
from bayes_intgen.assess.held_out import log_density_difference
from bayes_intgen.assess.hypotheses import (
    NullModel,
    alternatives,
    moderators,
    null_fit,
)
from bayes_intgen.assess.score_tests import score_tests, variance_tests
from bayes_intgen.assess.shapes import shape_tests
from bayes_intgen.assess.shared_causes import action_tests
from bayes_intgen.data.rows import Rows
from bayes_intgen.data.validation import checked_data
from bayes_intgen.errors import ModelError
from bayes_intgen.inference.pilot.carryover import with_carryover
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS
from bayes_intgen.models import AdditiveModel, Model, additive
from bayes_intgen.posterior.schema import fit_tests_dataset
from bayes_intgen.text.formats import frame_along, shorter_number, to_json
from bayes_intgen.text.messages import in_words, option, some_of

if TYPE_CHECKING:
    import pandas as pd

# Familywise probability of a false alarm: half of the customary 5%, as a margin for the error of
# the normal approximation and for unusual noise.
FAMILYWISE_LEVEL = 0.025
# Families of tests whose p values are corrected together.
FAMILIES = {
    "shared cause": "actions",
    "shift": "actions",
    "variance": "variance",
    "shape": "shape",
}
# Maximum number of untestable alternatives that the statement names.
MAX_NAMED = 3


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """Evidence against the assumptions, made by :func:`check`; prints as a statement.

    Attributes
    ----------
    table : Dataset, dim test
        ``kind`` ("interaction", "graph", "regime", "confounded interaction", "variance", "shared
        cause", "shift" or "shape"), ``p``, ``p_familywise`` (over all tests), ``size`` and
        ``detectable`` (in the outcome's units, or its logarithm's in a multiplicative model: the
        estimate's standard deviation, or root mean square in a regime, and the size detected with
        probability 0.9; for a variance the standard deviation of what the noise has beyond the
        prediction; for a shared cause the correlation that it gives the two actions where neither
        is set; for a shift the correlation of an action with whether the other is set; for a shape
        the largest change against it), and ``between`` (test, action), the actions concerned.
        ``log_bayes_factor`` and ``weight`` (probability of each alternative if one of them holds)
        are NaN for variances, shared causes, shifts and shapes.
        ``hidden`` names the alternatives that these rows cannot test, with ``hidden_kind``,
        ``hidden_between`` and ``hidden_obstacle``, why a pair is not tested for a shared cause.
        ``fit_p`` (fit_test): p values of tests of whether each action's functions follow the rows.
        ``moderator_p_familywise`` (moderator): those of tests of whether the effect of
        ``moderated`` depends on the covariate ``by``. The attribute ``findings`` has those in the
        rows.
    held_out : Dataset
        ``difference`` and ``error``: log predictive density of held-out rows under the additive
        model minus that under a regression per regime, and its standard error; ``rows``. Empty
        without held-out rows.
    level : float
        Probability of a false alarm by any test.
    """

    table: xr.Dataset
    held_out: xr.Dataset
    level: float

    def to_datasets(self) -> dict[str, xr.Dataset]:
        """Convert the check to groups of a tree."""
        return {
            "/check": self.table.assign_attrs(level=self.level),
            "/check/held_out": self.held_out,
        }

    @classmethod
    def of_tree(cls, tree: xr.DataTree) -> "Check | None":
        """Read the check from a tree; None if it has none."""
        if (node := tree.children.get("check")) is None:
            return None
        table = node.to_dataset(inherit=False)
        held_out = node.children["held_out"].to_dataset(inherit=False)
        return cls(table, held_out, float(table.attrs["level"]))

    @property
    def p(self) -> float:
        """Smallest familywise p value; one if nothing could be tested."""
        return float(self.table["p_familywise"].min()) if self.table.sizes["test"] else 1.0

    @property
    def violated(self) -> bool | None:
        """Whether the data contradict the assumptions at the level; None if nothing was tested."""
        return self.p <= self.level if self.table.sizes["test"] else None

    @property
    def state(self) -> Literal["violated", "no sign of a violation", "could not be tested"]:
        """Result in words."""
        if self.violated is None:
            return "could not be tested"
        return "violated" if self.violated else "no sign of a violation"

    @property
    def obstacle(self) -> str | None:
        """Why nothing could be tested; None if something was."""
        if self.violated is not None:
            return None
        if self.table.sizes["action"] == 1:
            return "one action alone restricts nothing"
        return "; ".join(self._obstacles) or "these regimes do not restrict the model"

    @property
    def _obstacles(self) -> list[str]:
        """Reasons why pairs are not tested for shared causes."""
        return [*filter(None, dict.fromkeys(self.table["hidden_obstacle"].values.tolist()))]

    @property
    def findings(self) -> list[Finding]:
        """What is known to make answers wide or wrong, in the words of a fit's warnings.

        In the rows, by guards of the package and of users, and structure that the model does not
        follow. This contradicts the smoothness of the prior, not the assumptions.
        """
        return [*stored_findings(self.table.attrs), *findings_of_fit_tests(self.table)]

    @property
    def moderators(self) -> dict[str, list[str]]:
        """Covariates on which the effect of an action depends, by evidence at the level.

        As ``models.additive(moderators=...)`` takes them; only those that the model lacks. This
        contradicts no assumption. Of rows with a time, those that fail are among ``findings``.
        """
        out: dict[str, list[str]] = {}
        names = ("moderated", "by", "moderator_p_familywise")
        for action, covariate, p in zip(*(self.table[n].values for n in names), strict=True):
            if p <= self.level:
                out.setdefault(str(action), []).append(str(covariate))
        return out

    @property
    def likeliest(self) -> str | None:
        """Alternative with the strongest evidence; None if nothing could be tested."""
        if not self.table.sizes["test"]:
            return None
        # A shared cause also biases the outcome's mean, but nothing in the mean moves the actions;
        # a wrong mean adds to the variance of residuals.
        names = ("kind", "p_familywise", "log_bayes_factor")
        kind, p, evidence = (self.table[name].to_numpy() for name in names)
        evidence = np.where(np.isin(kind, ("shared cause", "shift", "shape")), np.inf, evidence)
        evidence = np.where(kind == "variance", np.finfo(float).min, evidence)
        best = int(np.argmax(np.where(p == p.min(), evidence, -np.inf)))
        return str(self.table["test"].to_numpy()[best])

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    __repr__ = __str__

    def to_dataframe(self) -> "pd.DataFrame":
        """Table with a row per test.

        Examples
        --------
        >>> result = check(data, held_out=0, progress=False)
        >>> len(result.to_dataframe()) == result.table.sizes["test"]
        True
        """
        return frame_along(self.table, "test")

    def to_json(self) -> str:
        """Convert the statement and the tests to JSON."""
        names = ("state", "violated", "obstacle", "p", "level", "likeliest", "moderators")
        return to_json(
            {
                **{name: getattr(self, name) for name in names},
                "statement": self.sentences(),
                "held_out": {str(k): v.item() for k, v in self.held_out.data_vars.items()},
                "tests": self.to_dataframe().to_dict("records"),
            }
        )

    @property
    def blind_spots(self) -> list[str]:
        """Sentences on violations that these tests would miss."""
        return [*(() if self.violated else self._reach()), *self._hidden()]

    def sentences(self, said: Collection[Finding] = ()) -> list[str]:
        """List the sentences of the statement, without findings that are said elsewhere."""
        return [
            self._verdict(),
            *self._other_shapes(),
            *self.blind_spots,
            *(finding.sentence for finding in self.findings if finding not in said),
            *self._moderation(),
            *self._comparison(),
        ]

    def _verdict(self) -> str:
        """Whether a violation was detected, and where."""
        likeliest, tests = self.likeliest, self.table.sizes["test"]
        if likeliest is None:
            return f"Nothing could be tested: {self.obstacle}."
        stated = f"{_p_text(self.p)} over {tests} {'tests' if tests > 1 else 'test'}"
        if not self.violated:
            return f"No sign of violation ({stated}; a violation has p below {self.level:g})."
        row = self.table.sel(test=likeliest)
        between = row["action"].values[row["between"].values].tolist()
        weight = float(row["weight"])
        if not np.isnan(weight):
            stated += (
                f"; probability {weight:.2f} if one of the tested interactions and biases exists"
            )
        where = f"{'between' if len(between) > 1 else 'by'} {in_words(between)}"
        return f"Violated, most likely {where} ({stated}): {self._violation(likeliest)}."

    def _other_shapes(self) -> Iterator[str]:
        """Contradicted shapes, other than what the verdict names."""
        contradicted = (self.table["kind"] == "shape") & (self.table["p_familywise"] <= self.level)
        for label in self.table["test"].values[contradicted.values].tolist():
            if label != self.likeliest:
                p = float(self.table["p_familywise"].sel(test=label))
                yield f"Also, {self._violation(label)} ({_p_text(p)})."

    def _violation(self, label: str) -> str:
        """Describe the alternative of one test."""
        row = self.table.sel(test=label)
        number = float(row["size"])
        size, share = shorter_number(number, 3), f"{number / self.table.attrs['outcome_sd']:.0%}"
        interaction = (
            f"an interaction with a standard deviation of {size}, {share} of the outcome's"
        )
        by = f"{label}, by {size} or {share} of the outcome's standard deviation"
        return {
            "interaction": interaction,
            "confounded interaction": f"{interaction}, in which hidden causes take part",
            "graph": f"{label}, which the graph does not allow",
            "shape": by,
            "regime": by,
            "variance": f"{label}, by a standard deviation of {size} or {share} of the outcome's. "
            "An interaction in which hidden causes take part would explain it",
            "shared cause": "a hidden cause that they share, which correlates them by "
            f"{number:.2g} where neither is set",
            "shift": f"{label}: given what moves it, it correlates by {number:.2g} with whether "
            "the experiment runs",
        }[str(row["kind"].item())]

    def _reach(self) -> Iterator[str]:
        """Sizes of violations that would be detected."""
        kinds, detectable = (self.table[name].values for name in ("kind", "detectable"))
        interactions = detectable[kinds == "interaction"]
        if interactions.size and np.isfinite(interactions).all():
            worst = float(interactions.max())
            which = "Any other" if "interaction" in self.table["hidden_kind"].values else "Any"
            yield (
                f"{which} smooth interaction of two actions with a standard deviation over "
                f"{shorter_number(worst, 3)}, {worst / self.table.attrs['outcome_sd']:.0%} of the "
                "outcome's, would be detected with probability 0.9, unless the biases offset it."
            )
        shared = detectable[kinds == "shared cause"]
        if shared.size and np.isfinite(shared).all():
            yield (
                "A hidden cause that two actions share would be detected with probability 0.9 if "
                f"it correlated them by {float(shared.max()):.2g} or more where neither is set."
            )

    def _hidden(self) -> Iterator[str]:
        """Violations that these regimes cannot reveal."""
        is_named = self.table["hidden_kind"].values != "confounded interaction"
        labels = self.table["hidden"].values[is_named].tolist()
        if labels:
            yield f"These rows cannot reveal: {'; '.join(some_of(labels, MAX_NAMED))}."
        if self.table.sizes["test"] and self._obstacles:
            yield f"Some pairs are not tested for a hidden cause: {'; '.join(self._obstacles)}."
        several = int(self.table.attrs["rows_with_several_set"])
        if several:
            yield f"{several} rows have several actions set: the strongest possible test."
        else:
            yield (
                "No row has several actions set: only such rows could reveal an interaction in "
                "which hidden causes take part, because the biases may offset it in every regime."
            )

    def _moderation(self) -> Iterator[str]:
        """Covariates on which effects depend, and the model that lets them."""
        if moderators := self.moderators:
            p = float(self.table["moderator_p_familywise"].min())
            text = moderation(moderators, _p_text(p))
            yield f"{text[0].upper()}{text[1:]}."

    def _comparison(self) -> Iterator[str]:
        """Predictions of held-out rows, compared with those of a regression per regime."""
        if self.held_out.data_vars:
            value, error, rows = (float(self.held_out[n]) for n in ("difference", "error", "rows"))
            how = "better than" if value > 0 else "worse than"
            if abs(value) < 2 * error:
                how = "about as well as"
            elif value < 0 and not self.violated:
                how = "worse, for a reason that no test names, than"
            yield (
                f"The model predicts {rows:.0f} held-out rows {how} a regression per regime: "
                f"difference in log density {value:+.1f}, standard error {error:.1f}."
            )


@takes_rng
def check(
    data: Rows,
    model: Model | None = None,
    *,
    level: float = FAMILYWISE_LEVEL,
    held_out: float = 0.25,
    seed: Seed = 0,
    checks: Sequence[Guard] = (),
    progress: bool = True,
) -> Check:
    """Test the assumptions that the data can contradict.

    Parameters
    ----------
    data : Observations, StreamedData or DistributedData
        At most 30,000 rows are used.
    model : Model, optional
        By default ``additive()``. A graph adds restrictions, which are tested too.
    level : float
        Probability that any of the tests raises a false alarm if the assumptions hold.
    held_out : float
        Share of the rows of every regime on which the model is compared with a regression per
        regime; 0 skips the comparison, which takes most of the time.
    seed : int
        The same seed gives the same result.
    checks : sequence of callable
        Further checks of the rows. Each takes rows, model and, as there is none here, None for a
        posterior, and returns or yields :class:`bayes_intgen.Finding`, which the statement lists
        after those of the package's own checks.
    progress : bool

    Returns
    -------
    Check

    Raises
    ------
    DataError
        If ``data`` has another class, or the actions determine the outcome exactly.
    ModelError
        If the model is not additive or does not fit the data, ``level`` or ``held_out`` is not a
        probability, or one of the ``checks`` is no function or finds something else.

    Examples
    --------
    >>> result = check(data, held_out=0, progress=False)
    >>> result.violated
    False
    >>> result.table.test.to_numpy().tolist()
    ['hidden cause shared by red and green', 'green set otherwise in the experiment on red', \
'red set otherwise in the experiment on green']

    A check of one's own:

    >>> def dark_rows(rows, model, posterior):
    ...     share = np.mean(rows.in_memory.outcome < -1.5)
    ...     if share > 0.1:
    ...         yield bi.Finding("dark rows", f"{share:.0%} of rows are dark: clean the lens")
    >>> print(check(data, held_out=0, checks=[dark_rows], progress=False).findings[0].sentence)
    15% of rows are dark: clean the lens.
    """
    model = additive() if model is None else model
    data, seed = checked_data(data), seed_number(seed)
    if not isinstance(model, AdditiveModel):
        raise ModelError(
            f"only additive models make assumptions to check, not {type(model).__name__}"
        )
    level = probability(level, "level")
    held_out = probability(held_out, option("held_out"), or_zero=True)
    guards = map(_checked_guard, items(checks, "checks", "functions"))
    found = findings((of_rows, of_copies, *guards), data, model)
    data, model = with_carryover(data, model, progress)
    sample = data.sample(PILOT_ROWS)
    rows = model.law.working_rows(sample).in_memory
    candidates = [*alternatives(rows, model)]
    # Each family of tests has its share of the level: mean, variance and actions.
    has_regimes = any(each.of.kind == "regime" and each.testable for each in candidates)
    families = 2 + has_regimes + bool(model.shapes(rows))
    share = 1 - (1 - level) ** (1 / families)
    with single_blas_thread():
        pilot = null_fit(rows, model, candidates, progress)
        null = NullModel.of(rows, pilot.mode)
        results = [
            *score_tests(null, candidates, share, seed),
            *variance_tests(null, pilot.covariance, candidates, share, seed),
            *action_tests(rows.this_period, model, share, seed),
            *shape_tests(null, model, share, seed),
        ]
        # Blocks of rows in time are too few; the tests of the fit allow for dependence themselves.
        tested = () if rows.columns.time else tuple(moderators(rows, model))
        moderated = score_tests(null, tested, level, seed)
    fit_tests = fit_tests_dataset(pilot.fit_tests, (*rows.names, *rows.columns.every))
    table = _table(rows.names, results).merge(fit_tests).merge(_of_moderators(moderated))
    table = table.assign_attrs(
        outcome=rows.outcome_name,
        outcome_sd=float(rows.outcome.std()),
        rows_with_several_set=sum(n for m, n in data.regimes.items() if sum(m) > 1),
    )
    store_findings(table.attrs, found)
    predictions = xr.Dataset()
    if held_out:
        predictions = log_density_difference(sample, model, held_out, seed, progress)
    return Check(table, predictions, level)


def _checked_guard(guard: Guard) -> Guard:
    """Guard of a user, which raises ModelError unless it finds findings."""
    if not callable(guard):
        raise ModelError(f"checks must be functions of rows, model and posterior, not {guard!r}")

    def checked(rows: Rows, model: Model | None, posterior: None) -> Iterator[Finding]:
        for finding in items(guard(rows, model, posterior), "what checks find", "bi.Finding"):
            yield instance(finding, Finding, "what checks find", "bi.Finding", ModelError)

    return checked


def _of_moderators(results: Sequence[BootstrapResult | Untested]) -> xr.Dataset:
    """Results of the tests of moderators, as labelled arrays."""
    tests = [result for result in results if isinstance(result, BootstrapResult)]
    pairs = np.array([test.of.actions for test in tests], dtype=str).reshape(-1, 2)
    p = np.array([test.p_familywise for test in tests], dtype=float)
    columns = {"moderated": pairs[:, 0], "by": pairs[:, 1], "moderator_p_familywise": p}
    labels = np.array([test.of.label for test in tests], dtype=str)
    return labelled_dataset(
        {name: ("moderator", values) for name, values in columns.items()}, {"moderator": labels}
    )


def _table(names: Sequence[str], results: Sequence[BootstrapResult | Untested]) -> xr.Dataset:
    """Results of the tests, and the alternatives that cannot be tested, as labelled arrays."""
    tests = [result for result in results if isinstance(result, BootstrapResult)]
    rest = [result for result in results if isinstance(result, Untested)]
    columns: dict[str, Any] = {}
    labels: dict[str, Any] = {"action": list(names)}
    for dim, prefix, every in (
        ("test", "", [test.of for test in tests]),
        ("hidden", "hidden_", [own.of for own in rest]),
    ):
        between = np.array([name in own.actions for own in every for name in names], dtype=bool)
        columns[f"{prefix}kind"] = (dim, np.array([own.kind for own in every], dtype=str))
        columns[f"{prefix}between"] = ((dim, "action"), between.reshape(-1, len(names)))
        labels[dim] = np.array([own.label for own in every], dtype=str)
    columns["hidden_obstacle"] = ("hidden", np.array([own.obstacle for own in rest], dtype=str))
    fields = BootstrapResult._fields[1:]
    values = np.array([test[1:] for test in tests], dtype=float).reshape(-1, len(fields)).T
    numbers = dict(zip(fields, values, strict=True))
    # Of other kinds are tests of the mean.
    families = len({FAMILIES.get(test.of.kind, "mean") for test in tests})
    numbers["p_familywise"] = 1 - (1 - numbers["p_familywise"]) ** families
    evidence = numbers["log_bayes_factor"]
    numbers["weight"] = np.exp(evidence - logsumexp(evidence[~np.isnan(evidence)]))
    return labelled_dataset(
        columns | {name: ("test", column) for name, column in numbers.items()}, labels
    )


def _p_text(p: float) -> str:
    return f"p {'<' if p < 0.001 else '='} {max(p, 0.001):.3g}"
