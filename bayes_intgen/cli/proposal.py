"""Explanation of a file whose roles are not all named, and the command to run next."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_intgen.cli.options import REGIME, Columns
from bayes_intgen.cli.parsing import parse_cells, parse_labels
from bayes_intgen.data.cells import Question, by_answer, open_questions, words_of_cells
from bayes_intgen.data.column_notes import ColumnNote, explain_columns, note_lines
from bayes_intgen.data.files import INPUTS, is_streamed, kind_of, parts_of, read_table
from bayes_intgen.data.missing import MissingCells, words_of_missing
from bayes_intgen.data.proposed_roles import Proposal, propose_roles
from bayes_intgen.data.regime_labels import checked_meanings, refuse_unused, spelled_meaning
from bayes_intgen.data.tables import has_levels, levels_of_column, numeric_column
from bayes_intgen.errors import DataError
from bayes_intgen.text.formats import align_columns, line_width, to_json
from bayes_intgen.text.messages import first_few

if TYPE_CHECKING:
    import narwhals as nw

# Size of files in bytes, beyond which only the first rows of a Parquet file are explained.
MAX_BYTES = 2**30
# Maximum number of labels that are shown, and asked about, and of texts.
MAX_LABELS, MAX_ASKED = 12, 12


@dataclass(frozen=True)
class Explanation:
    """Columns of a file, proposed roles, open questions, and the command to run next.

    Attributes
    ----------
    title : str
    notes : list of ColumnNote
    proposal : Proposal
    questions : list of str
        What only the user can say.
    columns : Columns
        All roles; without answers those on which other roles depend.
    advice, command : str
        The command to run next, and what to do before.
    """

    title: str
    notes: list[ColumnNote]
    proposal: Proposal
    questions: list[str]
    columns: Columns
    advice: str
    command: str

    def to_json(self) -> str:
        """Convert to JSON."""
        labels = self.proposal.labels.items()
        return to_json(
            {
                "columns": [note._asdict() for note in self.notes],
                "labels": [
                    {
                        "label": label,
                        "rows": self.proposal.rows[label],
                        "actions": None if actions is None else list(actions),
                    }
                    for label, actions in labels
                ],
                "left_out": self.proposal.left_out,
                "questions": self.questions,
                "command": self.command,
            }
        )

    def __str__(self) -> str:
        lines = [self.title]
        for line in note_lines(self.notes):
            lines += wrap(line, line_width(), initial_indent="  ", subsequent_indent="    ")
        regime, labels = self.proposal.columns("regime"), _label_lines(self.proposal)
        lines += [f"Labels in {regime[0]!r}", *(f"  {line}" for line in labels)] if regime else []
        if self.proposal.left_out:
            lines += [
                f"{self.proposal.left_out:,} rows have missing cells in columns with a role, and "
                "would be left out"
            ]
        if self.questions:
            lines += ["Questions", *(f"  {question}" for question in self.questions)]
        return "\n".join([*lines, f"{self.advice} Next:", f"  {self.command}"])


def explained(data: Path, source: Path, columns: Columns) -> Explanation:
    """Explain a file, which ``source`` holds, and propose the roles that ``columns`` lack."""
    size = sum(part.stat().st_size for part in parts_of(source))
    head = is_streamed(source) and size > MAX_BYTES
    cells = parse_cells(columns.cell)
    table = read_table(source, columns.regime or REGIME, head=head, cells=cells)
    MissingCells().refuse_all(len(table))
    proposal = _proposal(table, columns)
    regime = proposal.columns("regime")
    if regime and regime[0] != (columns.regime or REGIME) and table[regime[0]].null_count():
        # Text such as "None" is a missing cell in other columns, and a label in this one.
        table = read_table(source, regime[0], head=head, cells=cells)
        proposal = _proposal(table, columns)
    title = f"Columns of {data} ({'first ' * head}{len(table):,} rows), with proposed roles (?)"
    groups = proposal.columns("group")
    actions, outcomes = proposal.columns("action"), proposal.columns("outcome")
    opened = open_questions(table, actions, outcomes)
    asked = by_answer(own for own in opened if own.column not in (*groups, *regime))[:MAX_ASKED]
    of_cells = {own.column for own in opened}
    unread = [_refusal(table, name, name in outcomes) for name in (*actions, *outcomes)
              if name not in of_cells]  # fmt: skip
    others = [*filter(None, unread), *_questions(proposal)]
    questions = [f"How is {where} read? {own}" for where, own in asked] + others
    completed = _completed(columns, proposal, answered=not questions)
    advice = "Add the answers." if questions else "Check what is proposed (?)."
    following = command("describe", data, *completed.words())
    if asked:
        advice, options = answers_to_check(own for _, own in asked)
        advice += " Add the other answers." * bool(others)
        is_text = kind_of(source) == "text"
        if is_text and all(own.option == "cells" for _, own in asked):
            following = command("describe", data, *completed.words(), *options)
        else:
            output = named_after(data, ".parquet" if is_text else "-clean.parquet")
            following = command("clean", data, "-o", output, *words_of_cells(cells), *options)
    given = _given(columns, table)
    shown = {columns.unit or "": "unit", columns.time or "": "time"}
    shown |= {n: role if n in given else f"{role}?" for n, role in proposal.roles.items()}
    notes = explain_columns(table, shown, proposal.reasons)
    return Explanation(title, notes, proposal, questions, completed, advice, following)


def answers_to_check(questions: Iterable[Question]) -> tuple[str, list[str]]:
    """Advice on the most likely answers to questions on cells, and the options that give them."""
    asked = list(questions)
    likely = [f"{own.cell!r} is {next(iter(own.readings.values()))}" for own in asked]
    return f"Check that {first_few(likely)}.", [word for own in asked for word in own.words()]


def named_after(data: Path, ending: str) -> Path:
    """File to write, called like a data file.

    Examples
    --------
    >>> print(named_after(Path("our/sales 1.2.csv.gz"), ".nc"))
    our/sales 1.2.nc
    """
    if data.is_dir():
        return data.with_name(data.resolve().name + ending) if data.name else Path(f"fit{ending}")
    stem = "fit" if data in INPUTS else Path(data.name.removesuffix(".gz")).stem
    return data.with_name(stem + ending)


def command(name: str, *words: object) -> str:
    """A command as it is typed.

    Examples
    --------
    >>> command("describe", "my data.csv", "--outcome", "y")
    "bayes-intgen describe 'my data.csv' --outcome y"
    """
    return shlex.join(["bayes-intgen", name, *map(str, words)])


def _given(columns: Columns, table: "nw.DataFrame[Any]") -> dict[str, str]:
    """Roles that are named, but for the order of rows."""
    roles = columns.roles(table.columns)
    return {name: role for name, role in roles.items() if role not in ("unit", "time")}


def _proposal(table: "nw.DataFrame[Any]", columns: Columns) -> Proposal:
    given, labels = _given(columns, table), parse_labels(columns.label)
    actions = [name for name, role in given.items() if role == "action"]
    meanings = checked_meanings(labels, actions or [n for n in table.columns if n not in given])
    proposal = propose_roles(table, given, meanings)
    for regime in proposal.columns("regime"):
        refuse_unused(meanings, proposal.rows, regime)
    return proposal


def _questions(proposal: Proposal) -> list[str]:
    questions = []
    if not proposal.columns("outcome"):
        questions.append("Which column of numbers is the outcome? --outcome COLUMN")
    if not proposal.columns("regime"):
        questions.append(
            "Which column says which actions were set in a row? --regime COLUMN (its labels name "
            "columns, or --label says what they stand for; join a column per action into one of "
            "labels such as tv+radio)"
        )
    questions += [
        f"What does the label {label!r} stand for? {spelled_meaning(label, 'COLUMN')}, or "
        f"{spelled_meaning(label, '')} if no action was set"
        for label in proposal.open_labels[:MAX_LABELS]
    ]
    if proposal.columns("regime") and not proposal.columns("action") and not proposal.open_labels:
        questions.append("Which columns are actions? No label names one. --actions COLUMN,COLUMN")
    return questions


def _refusal(table: "nw.DataFrame[Any]", name: str, numbers: bool) -> str:
    """Why a column cannot be read as numbers, or as levels if it may be these; perhaps empty."""
    try:
        if numbers or not has_levels(table, name):
            numeric_column(table, name, DataError)
        else:
            levels_of_column(table, name, np.arange(len(table))).categories(name)
    except DataError as error:
        return f"{str(error)[0].upper()}{str(error)[1:]}"
    return ""


def _completed(columns: Columns, proposal: Proposal, answered: bool) -> Columns:
    """Add what is proposed; before all questions are answered, only what says which were set."""
    regime = next(iter(proposal.columns("regime")), None)
    known = replace(
        columns,
        outcome=next(iter(proposal.columns("outcome")), None),
        regime=None if regime == REGIME else regime,
        label=[f"{label}={'+'.join(own)}" for label, own in proposal.meanings.items()],
    )
    if not answered:
        return known
    unit, time = proposal.order or (None, None)
    return replace(
        known,
        actions=proposal.columns("action"),
        covariates=proposal.columns("covariate"),
        groups=proposal.columns("group"),
        unit=columns.unit or unit,
        time=columns.time or time,
        missing=columns.missing or words_of_missing(proposal.missing)[1:],
    )


def _label_lines(proposal: Proposal) -> list[str]:
    labels = [*dict.fromkeys([*proposal.open_labels, *proposal.labels])][:MAX_LABELS]
    cells = [
        [label or "(empty)", _meaning(proposal, label), f"{proposal.rows[label]:,}"]
        for label in labels
    ]
    more = len(proposal.labels) - len(labels)
    table = align_columns(["label", "set", "rows"], cells, left=2).splitlines()
    return [*table, *([f"and {more} more"] if more else [])]


def _meaning(proposal: Proposal, label: str) -> str:
    actions: Any = proposal.labels[label]
    if actions is None:
        return "?"
    return (", ".join(actions) or "nothing") + "?" * (label in proposal.guessed)
