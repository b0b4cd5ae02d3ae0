"""Explanation of a file, and a proposal of its actions where the command line names none."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bayes_intgen.text.formats import to_json

if TYPE_CHECKING:
    from bayes_intgen.data.column_notes import ColumnNote


def explained(data: Path, roles: Mapping[str, str], regime: str) -> "list[ColumnNote]":
    """Explain each column of a file, given the roles of some."""
    from bayes_intgen.data.column_notes import explain_columns
    from bayes_intgen.data.files import first_rows

    return explain_columns(first_rows(data, regime), dict(roles))


def proposed_roles(data: Path, outcome: str, regime: str) -> dict[str, str]:
    """Propose roles for the columns of a file; raises DataError without outcome or regimes."""
    from bayes_intgen.data.column_notes import propose_roles
    from bayes_intgen.data.files import first_rows

    return propose_roles(first_rows(data, regime), outcome, regime)


def options_of(roles: Mapping[str, str]) -> str:
    """Options that name the columns in proposed roles.

    Examples
    --------
    >>> options_of({"sales": "outcome", "regime": "regime", "tv": "action", "the age": "covariate"})
    "--outcome sales --actions tv --covariates 'the age'"
    """
    options = []
    for role in ("outcome", "regime", "action", "covariate", "group"):
        names = ",".join(name for name, own in roles.items() if own == role)
        if names and (role, names) != ("regime", "regime"):
            plural = "" if role in ("outcome", "regime") else "s"
            options.append(f"--{role}{plural} {shlex.quote(names)}")
    return " ".join(options)


def proposal(data: Path, outcome: str, regime: str, format: str) -> str:
    """Explain a file whose actions are not named, and propose a command, as text or JSON."""
    from bayes_intgen.assess.summary_text import note_lines

    roles = proposed_roles(data, outcome, regime)
    sure = ("outcome", "regime")
    shown = {name: role if role in sure else f"{role}?" for name, role in roles.items()}
    notes = explained(data, shown, regime)
    command = f"bayes-intgen describe {shlex.quote(str(data))} {options_of(roles)}"
    if format == "json":
        return to_json({"columns": [note._asdict() for note in notes], "command": command})
    return "\n".join(
        [
            f"Columns of {data}, with proposed roles",
            *(f"  {line}" for line in note_lines(notes)),
            "No column is an action unless you name it. A proposal to check and change:",
            f"  {command}",
        ]
    )
