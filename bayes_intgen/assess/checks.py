"""Tests of the assumptions that the data can contradict.

`check` tests the additive model against every alternative that the regimes in the data can
reveal (`alternatives`), and compares it with a regression per regime on held-out rows. The
strongest test compares rows with several actions set with the additive prediction from the other
rows.

Notes
-----
The tests detect deviations of the regimes in the data from one additive mean. With one action set
at a time they detect an interaction that is the same in all regimes, because
sum_j m_j - (K - 1) m_0 is then no sum of functions of one action each. They cannot detect one
that the biases offset: add psi(a_1, a_2) to the joint effect of two actions and subtract it
from the biases as it would arise if the hidden causes interacted too, so that
do(1) + do(2) - observational stays the same. Two such worlds agree on every row with at most one
action set (``analyses/non_identifiable.py`` draws a pair of them), so that no test of such rows
can distinguish them; rows with both actions set do. The same holds for hidden causes that several
actions share, as long as their effect on the regimes is additive (always in linear Gaussian
worlds): `bayes_intgen.assess.sensitivity` bounds how far they could move the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._arguments import probability, seed_number
from bayes_intgen._blas import single_blas_thread
from bayes_intgen.assess.alternatives import Alternative, alternatives
from bayes_intgen.assess.held_out import log_density_difference
from bayes_intgen.assess.score_tests import TestResult, null_fit, posterior_weights, score_tests
from bayes_intgen.data.rows import Rows, checked_data
from bayes_intgen.errors import ModelError
from bayes_intgen.inference.pilot.lack_of_fit import fit_problems, fit_tests_dataset
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS
from bayes_intgen.models import AdditiveModel, Model, additive
from bayes_intgen.text.tables import to_json

# Familywise probability of a false alarm: half of the customary 5%, as a margin for the error of
# the normal approximation and for unusual noise.
FAMILYWISE_LEVEL = 0.025
# Maximum number of untestable alternatives that the statement names.
MAX_NAMED = 3


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """Evidence against the assumptions, made by :func:`check`; prints as a statement.

    Attributes
    ----------
    table : Dataset, dim test
        ``kind`` ("interaction", "graph" or "regime"), ``log_bayes_factor``, ``p``,
        ``p_familywise`` (over all tests), ``weight`` (probability of each alternative if one of
        them holds), ``size`` and ``detectable`` (in the outcome's units: the estimate's standard
        deviation, or root mean square in a regime, and the size detected with probability 0.9),
        and ``between`` (test, action), the actions concerned. ``fit_p`` (fit_test): p values of
        tests of whether each action's functions follow the rows.
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
        if "check" not in tree.children:
            return None
        nodes = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
        table, held_out = nodes["/check"], nodes["/check/held_out"]
        return cls(table, held_out, float(table.attrs["level"]))

    @property
    def p(self) -> float:
        """Smallest familywise p value; one if nothing could be tested."""
        return float(self.table["p_familywise"].min()) if self.table.sizes["test"] else 1.0

    @property
    def violated(self) -> bool:
        """Whether the data contradict the assumptions at the level."""
        return self.p <= self.level

    @property
    def lack_of_fit(self) -> list[str]:
        """Actions whose functions the model does not follow, a sentence each.

        This contradicts the smoothness of the prior, not the assumptions.
        """
        return [f"{line[0].upper()}{line[1:]}." for line in fit_problems(self.table)]

    @property
    def likeliest(self) -> str | None:
        """Alternative with the strongest evidence; None if nothing could be tested."""
        if not self.table.sizes["test"]:
            return None
        p, evidence = (self.table[name].to_numpy() for name in ("p", "log_bayes_factor"))
        best = int(np.argmax(np.where(p == p.min(), evidence, -np.inf)))
        return str(self.table["test"].to_numpy()[best])

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    __repr__ = __str__

    def to_json(self) -> str:
        """Convert the statement and the tests to JSON."""
        columns = ("p", "p_familywise", "log_bayes_factor", "weight", "size", "detectable")
        tests = [
            {"test": str(name), "kind": str(self.table["kind"].to_numpy()[i])}
            | {column: self.table[column].to_numpy()[i].item() for column in columns}
            for i, name in enumerate(self.table["test"].to_numpy())
        ]
        return to_json(
            {
                "violated": self.violated,
                "p": self.p,
                "level": self.level,
                "likeliest": self.likeliest,
                "statement": self.sentences(),
                "held_out": {str(k): v.item() for k, v in self.held_out.data_vars.items()},
                "tests": tests,
            }
        )

    def sentences(self) -> list[str]:
        """List the sentences of the statement."""
        lines = [self._verdict()]
        if not self.violated:
            lines.append(self._reach())
        lines += [self._hidden(), self._rows(), *self.lack_of_fit]
        if self.held_out.data_vars:
            lines.append(self._comparison())
        return [line for line in lines if line]

    def _verdict(self) -> str:
        tests = self.table.sizes["test"]
        if not tests:
            return "Nothing could be tested: these regimes do not restrict the model."
        p = f"p {'<' if self.p < 0.001 else '='} {max(self.p, 0.001):.3g} over {tests} " + (
            "tests" if tests > 1 else "test"
        )
        if not self.violated:
            return f"No sign of violation ({p}; a violation has p below {self.level:g})."
        row = self.table.sel(test=self.likeliest)
        between = [str(n) for n in self.table["action"].to_numpy()[row["between"].to_numpy()]]
        where = " and ".join([", ".join(between[:-1]), between[-1]])
        return (
            f"Violated, most likely between {where} ({p}; probability {float(row['weight']):.2f} "
            f"if one of the tested alternatives holds): {self._violation(row)}."
        )

    def _violation(self, row: xr.Dataset) -> str:
        """Describe the alternative of one test."""
        size = float(row["size"])
        share = f"{size / self.table.attrs['outcome_sd']:.0%}"
        return {
            "interaction": f"an interaction with a standard deviation of {size:.3g}, {share} of "
            "the outcome's",
            "graph": f"{self.likeliest}, which the graph does not allow",
            "regime": f"{self.likeliest}, by {size:.3g} or {share} of the outcome's standard "
            "deviation",
        }[str(row["kind"].item())]

    def _reach(self) -> str:
        pairs = self.table["detectable"].to_numpy()[self.table["kind"].to_numpy() == "interaction"]
        if not pairs.size:
            return ""
        worst, unit = float(pairs.max()), self.table.attrs["outcome_sd"]
        which = "Any other" if self.table.sizes["hidden"] else "Any"
        return (
            f"{which} smooth interaction of two actions with a standard deviation over "
            f"{worst:.3g}, {worst / unit:.0%} of the outcome's, would be detected with probability "
            "0.9, unless the biases offset it."
        )

    def _hidden(self) -> str:
        labels = [str(label) for label in self.table["hidden"].to_numpy()]
        listed = labels[:MAX_NAMED]
        if len(labels) > MAX_NAMED:
            listed.append(f"{len(labels) - MAX_NAMED} more")
        return f"These regimes cannot reveal: {'; '.join(listed)}." if labels else ""

    def _rows(self) -> str:
        several = int(self.table.attrs["rows_with_several_set"])
        if several:
            return f"{several} rows have several actions set: the strongest possible test."
        return (
            "No row has several actions set: only such rows could reveal an interaction that the "
            "biases offset in every regime."
        )

    def _comparison(self) -> str:
        value, error, rows = (
            float(self.held_out[name]) for name in ("difference", "error", "rows")
        )
        how = "better than" if value > 0 else "worse than"
        if abs(value) < 2 * error:
            how = "about as well as"
        return (
            f"The additive model predicts {rows:.0f} held-out rows {how} a regression per regime: "
            f"difference in log density {value:+.1f}, standard error {error:.1f}."
        )


def check(
    data: Rows,
    model: Model | None = None,
    *,
    level: float = FAMILYWISE_LEVEL,
    held_out: float = 0.25,
    seed: int = 0,
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
    progress : bool

    Returns
    -------
    Check

    Raises
    ------
    DataError
        If ``data`` has another class, or the actions determine the outcome exactly.
    ModelError
        If the model is not additive or does not fit the data, or ``level`` or ``held_out`` is
        not a probability.

    Examples
    --------
    >>> result = check(data, held_out=0, progress=False)
    >>> result.violated
    False
    >>> result.table.test.to_numpy().tolist()
    ['interaction of red and green']
    """
    model = additive() if model is None else model
    data, seed = checked_data(data), seed_number(seed)
    if not isinstance(model, AdditiveModel):
        raise ModelError(
            f"only models.additive() makes assumptions to check, not {type(model).__name__}"
        )
    level = probability(level, "level")
    held_out = probability(held_out, "held_out", or_zero=True)
    rows = data.sample(PILOT_ROWS)
    candidates = alternatives(rows, model)
    testable = [each for each in candidates if each.testable]
    with single_blas_thread():
        fit = null_fit(rows, model, testable, progress)
        results = score_tests(rows, fit, testable, level, seed)
    table = _table(rows.names, testable, results, [a for a in candidates if not a.testable])
    table = table.assign_attrs(
        outcome=rows.outcome_name,
        outcome_sd=float(rows.outcome.std()),
        rows_with_several_set=sum(n for m, n in data.regimes.items() if sum(m) > 1),
    ).merge(fit_tests_dataset(fit.fit_tests, rows.names), combine_attrs="override")
    comparison = xr.Dataset()
    if held_out:
        difference = log_density_difference(rows, model, held_out, seed, progress)
        comparison = xr.Dataset(difference._asdict())
    return Check(table, comparison, level)


def _table(
    names: Sequence[str],
    testable: Sequence[Alternative],
    results: Sequence[TestResult],
    hidden: Sequence[Alternative],
) -> xr.Dataset:
    """Results of the tests, and the alternatives that cannot be tested, as labelled arrays."""
    labels = [alternative.label for alternative in testable]
    weights = posterior_weights(dict(zip(labels, results, strict=True)))
    columns = np.array(results, dtype=float).reshape(-1, len(TestResult._fields)).T

    def between(some: Sequence[Alternative]) -> NDArray[np.bool_]:
        actions = [[name in each.actions for name in names] for each in some]
        return np.array(actions, dtype=bool).reshape(len(some), len(names))

    return xr.Dataset(
        {
            "kind": ("test", np.array([each.kind for each in testable], dtype=str)),
            **{n: ("test", c) for n, c in zip(TestResult._fields, columns, strict=True)},
            "weight": ("test", np.array([weights[label] for label in labels], dtype=float)),
            "between": (("test", "action"), between(testable)),
            "hidden_between": (("hidden", "action"), between(hidden)),
        },
        coords={
            "test": np.array(labels, dtype=str),
            "action": list(names),
            "hidden": np.array([each.label for each in hidden], dtype=str),
        },
    )
