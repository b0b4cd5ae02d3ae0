"""One-screen summary of data or a fit: regimes, certificates, support, checks and problems."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from textwrap import TextWrapper

import numpy as np
import xarray as xr

from bayes_intgen.assess.advice import groups_in_words
from bayes_intgen.assess.checks import Check
from bayes_intgen.assess.column_guards import advice_on_scale
from bayes_intgen.assess.diagnostics import Diagnostics
from bayes_intgen.assess.findings import (
    SUMMARY_ROWS,
    findings,
    findings_of_posterior,
    of_copies,
    of_regimes,
    of_rows,
    sentences,
)
from bayes_intgen.assess.summary_text import (
    assumption_lines,
    carryover_lines,
    certificate_lines,
    dependence_lines,
    interaction_lines,
    outcome_lines,
    population_lines,
    question_table,
    regime_lines,
    regime_table,
    support_lines,
)
from bayes_intgen.data.column_notes import ColumnNote, note_lines
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import DataError, DataWarning, LackOfFitWarning, SamplingWarning
from bayes_intgen.identification.certificates import settings_of
from bayes_intgen.identification.graph import parents_of
from bayes_intgen.posterior.adjustments import between_groups
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    support_of,
)
from bayes_intgen.posterior.schema import size_of_draws
from bayes_intgen.posterior.surfaces import interaction_sd
from bayes_intgen.text.edges import edges_in_words, is_learned, shows_edges
from bayes_intgen.text.formats import line_width, to_json
from bayes_intgen.text.messages import option, quoted, spoken


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """One-screen summary of data or a fit, made by :func:`report_identification`.

    Attributes
    ----------
    head : str
        Names and numbers of rows or draws.
    tree : DataTree
        Group ``regimes``: ``rows`` (regime), ``was_set`` (regime, action), and ``low`` and
        ``high`` (regime, action), the range of 98% of the rows; ``levels`` (regime, action), the
        levels that occur, as text. Group ``questions``: for the joint effect and each action set
        alone, ``identified``, ``weights`` (question, regime; NaN where not identified),
        ``certificate``, the sentence, and ``supported``, the share of the rows at whose values
        the effect is supported. For a fit also group ``sampling``: ``rhat`` and ``ess`` by
        quantity, with the number of ``divergences``, or, of a Laplace approximation, the
        attributes ``pareto_k`` and ``importance_ess`` alone; group ``check``, if the posterior
        has one; and for a fit with groups ``between_groups``, the standard deviations between them.
    sections : mapping from title to lines
        The same in sentences.
    problems : tuple of str
        Reasons for wide or wrong answers, in the words of a fit's warnings; empty if none are
        known.
    columns : tuple of ColumnNote
        Roles of the columns of a table; empty unless the table was explained.
    command : str
        Command to run next; empty in Python.
    """

    head: str
    tree: xr.DataTree
    sections: Mapping[str, tuple[str, ...]]
    problems: tuple[str, ...] = ()
    columns: tuple[ColumnNote, ...] = ()
    command: str = ""

    def to_json(self) -> str:
        """Convert regimes, the joint effect's certificate, problems and columns to JSON."""
        regimes, joint = self.tree["regimes"], self.tree["questions"].isel(question=0)
        rows = regimes["rows"].to_numpy().tolist()
        return to_json(
            {
                "outcome": regimes.attrs["outcome"],
                "rows": sum(rows),
                "regimes": dict(zip(regimes["regime"].to_numpy().tolist(), rows, strict=True)),
                "identified": bool(joint["identified"]),
                "certificate": str(joint["certificate"].item()),
                "problems": list(self.problems),
                "columns": [note._asdict() for note in self.columns],
                "command": self.command,
            }
        )

    def __str__(self) -> str:
        lines = [self.head]
        # Options of the command line have hyphens, and names may have.
        text = TextWrapper(line_width(), "  ", "    ", break_on_hyphens=False)
        for title, body in self.sections.items():
            lines.append(title)
            for line in body:
                lines += text.wrap(line)
        lines += ["Next:", f"  {self.command}"] if self.command else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def report_identification(of: Rows | PosteriorDraws) -> Report:
    """Summarise data before a fit, or a fit and its reliability.

    Parameters
    ----------
    of : Observations, StreamedData, DistributedData or Posterior

    Returns
    -------
    Report
        Prints as one screen; ``tree`` has the numbers. ``print(posterior)`` shows it too.

    Raises
    ------
    DataError
        If ``of`` is anything else.

    Examples
    --------
    >>> report = report_identification(data)
    >>> report.sections["Certificates"][0]
    'do(red, green) is identified: do(red) + do(green) - observational.'
    >>> report.tree["questions"].identified.to_numpy()
    array([ True,  True,  True])
    """
    if isinstance(of, PosteriorDraws):
        return _of_posterior(of)
    if isinstance(of, Rows):
        return summarise_data(of)
    raise DataError(
        f"a report needs RegimeData or a Posterior, not {type(of).__name__}; "
        "RegimeData.from_frame and fit make them"
    )


def summarise_data(
    data: Rows, *, support: bool = True, columns: Sequence[ColumnNote] = (), command: str = ""
) -> Report:
    """Summarise data before a fit.

    Parameters
    ----------
    data : Rows
    support : bool
        Whether to add the section on support, which is slow.
    columns : sequence of ColumnNote
        Roles of the columns of the table from which the data were read.
    command : str
        Command to run next.

    Examples
    --------
    >>> summarise_data(data).problems
    ()
    """
    names, sample = data.names, data.in_memory
    few = data.sample(SUMMARY_ROWS)
    reference = few.reference_rows()
    # Without a graph an action may depend on every other.
    verdict_at = partial(reference.verdict, parents=parents_of(names, None)) if support else None
    regimes = regime_table(data.regimes, reference, data.outcome_name)
    settings = settings_of(names, sample.actions, sample.intervened, sample.categories)
    questions = question_table(data.regimes, reference, settings, sample.strata(), verdict_at)
    found = findings((of_regimes, of_rows, of_copies), data)
    check = option(
        "bi.check(data, model)",
        command="`bayes-intgen check` with the file and the options of the next command, but -o",
    )
    problems = tuple(spoken(finding.text) for finding in found)
    sections = {
        "Columns": note_lines(columns),
        "Groups": groups_in_words(data),
        "Outcome": advice_on_scale(few),
        "Regimes": (*regime_lines(regimes), *data.columns.order_in_words),
        "Certificates": certificate_lines(questions),
        "Support": support_lines(questions),
        "Assumptions": (f"Not tested yet: run {check}.",),
        "Problems": problems or ("None found.",),
    }
    head = f"{len(data):,} rows: outcome {data.outcome_name!r}, actions {quoted(names)}"
    tree = xr.DataTree.from_dict({"regimes": regimes, "questions": questions})
    return Report(head, tree, _with_lines(sections), problems, tuple(columns), command)


def _of_posterior(posterior: PosteriorDraws) -> Report:
    support = support_of(posterior)
    regimes, reference = support.regimes, support.reference
    groups = {
        "regimes": regime_table(regimes, reference, posterior.outcome_name),
        "questions": question_table(
            regimes,
            reference,
            reference.settings(),
            support.strata,
            lambda points, mask: support.verdict(points, np.array(mask)),
        ),
    }
    diagnostics = Diagnostics.of(posterior)
    groups["sampling"] = diagnostics.to_dataset()
    found = findings_of_posterior(posterior)
    check = Check.of_tree(posterior.tree)
    if check is not None:
        groups["check"] = check.table
    between, sizes = between_groups(posterior), interaction_sd(posterior)
    if between.sizes["effect"]:
        groups["between_groups"] = between
    if sizes.sizes["pair"]:
        groups["interactions"] = sizes
    to_test = option(
        "bi.check(data, model); posterior.with_check stores the result.",
        command="`bayes-intgen check`, or `bayes-intgen report` with --data.",
    )
    tested = [f"Not tested yet: run {to_test}"] if check is None else check.sentences(found)
    sections = {
        "Outcome": outcome_lines(posterior),
        "Data": sentences(found, DataWarning),
        "Regimes": (*regime_lines(groups["regimes"]), *dependence_lines(posterior)),
        "Certificates": certificate_lines(groups["questions"]),
        "Covariates and groups": population_lines(posterior, between),
        "Carry-over": carryover_lines(posterior),
        "Interactions": interaction_lines(sizes),
        "Graph": _graph_lines(posterior),
        "Support": support_lines(groups["questions"]),
        "Assumptions": (*assumption_lines(posterior), *tested),
        "Fit": sentences(found, LackOfFitWarning),
        "Sampling": sentences(found, SamplingWarning) or (diagnostics.sentence(),),
    }
    size, passes = size_of_draws(posterior.tree), posterior.tree["fit"].attrs.get("passes", 0)
    times = "once" if passes == 1 else f"{passes} times"
    size += f", rows read {times}" if passes else ""
    head = f"Posterior of {posterior.outcome_name!r} given {quoted(posterior.actions)}: {size}"
    problems = tuple(finding.text for finding in found)
    return Report(head, xr.DataTree.from_dict(groups), _with_lines(sections), problems)


def _with_lines(sections: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Sections that are not empty."""
    every = {title: tuple(lines) for title, lines in sections.items()}
    return {title: lines for title, lines in every.items() if lines}


def _graph_lines(posterior: PosteriorDraws) -> Iterator[str]:
    """Edges of a learned graph, in one sentence."""
    if posterior.terms.parents is not None and is_learned(posterior.graph):
        words = edges_in_words(posterior.graph)
        if shows_edges(posterior.graph):
            yield f"Learned from the actions: {words}."
        else:
            yield f"{words[0].upper()}{words[1:]}."
