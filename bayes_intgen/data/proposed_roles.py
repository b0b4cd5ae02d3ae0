"""Proposal of roles: what the columns of a table may be, by regime labels, names and cells.

Actions are the columns that labels name, never columns that just hold numbers. Everything that is
proposed is for the user to check.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_intgen.data.column_notes import content_of
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS, holds_dates
from bayes_intgen.data.levels import MAX_LEVELS
from bayes_intgen.data.missing import Treatment
from bayes_intgen.data.regime_labels import (
    LabelReader,
    Meanings,
    UnknownActionError,
    label_texts,
    meaning_of,
    words_of,
)
from bayes_intgen.data.rows import random_rows
from bayes_intgen.data.schema import refuse_absent
from bayes_intgen.data.tables import has_levels, missing_cells, numeric_column
from bayes_intgen.errors import DataError
from bayes_intgen.identification.pretreatment import MAX_ROWS, changed_covariates, copied_action

# Maximum number of texts that are proposed as levels of a covariate rather than as groups, and of
# columns of one kind that are proposed as covariates or groups at all.
MAX_COVARIATE_LEVELS, MAX_PROPOSED = 6, 8
# Maximum number of units that are proposed as levels, since so few hardly show their variation.
MAX_UNITS_AS_LEVELS = 3
# Maximum share of missing cells of a proposed covariate of numbers: rows with any are left out.
MAX_MISSING_SHARE = 0.05

# Minimum share of rows that differ from the most frequent cell of a proposed covariate.
MIN_OTHER_SHARE = 0.02
# Minimum number of rows of each unit, and of each time, on average, in a proposed order of rows.
MIN_TIMES = 4

# Words in names of columns, in English and German.
_REGIME = frozenset(
    words_of(
        "regime regimes experiment experiments test tests trial arm study treatment intervention "
        "condition campaign phase versuch versuche studie kampagne bedingung behandlung"
    )
)
_OUTCOME = words_of(
    "outcome response y sales revenue conversions orders profit score umsatz umsätze erlös erlöse "
    "absatz gewinn ergebnis ertrag zielgröße yield result target bookings leads signups"
)
# Also with endings, as in "patientid" and "Filialnummer".
_UNIT = frozenset(
    f"{word}{ending}"
    for ending in ("", "id", "nr", "nummer", "name", "code")
    for word in words_of(
        "id ids region store shop site patient subject participant user customer client account "
        "market branch clinic hospital school household device person geo dma city country filiale "
        "filial markt kunde kunden proband klinik stadt land gebiet zentrum center centre"
    )
)
_TIME = frozenset(
    words_of(
        "week day month year quarter visit period date time hour round woche tag monat jahr "
        "quartal datum zeit stunde besuch kw kalenderwoche"
    )
)
_WEIGHT = frozenset(words_of("n sd se std"))
_NOTES = frozenset(
    words_of(
        "note notes comment comments remark remarks memo notiz notizen bemerkung bemerkungen "
        "kommentar kommentare anmerkung anmerkungen hinweis"
    )
)
_FILLERS = frozenset(words_of("of the no nr number nummer name code key start commencing ending"))


@dataclass(frozen=True)
class Proposal:
    """Roles of the columns of a table, known or proposed.

    Attributes
    ----------
    roles : dict from column to str
    reasons : dict from column to str
        Why a column has its role, or none.
    labels : dict from str to tuple of str or None
        Actions that each regime label stands for, if that is known or proposed.
    rows : dict from str to int
        Rows with each label.
    meanings : dict from str to tuple of str
        Actions that labels stand for which do not say so themselves, known or proposed.
    guessed : frozenset of str
        Labels whose meaning is proposed.
    missing : dict from column to treatment
        Treatment of missing cells, under "" that of most columns.
    left_out : int
        Rows with missing cells that are left out.
    order : tuple of str
        A column of units, and one of their times; empty if there are none.
    """

    roles: dict[str, str]
    reasons: dict[str, str]
    labels: dict[str, tuple[str, ...] | None]
    rows: dict[str, int]
    meanings: dict[str, tuple[str, ...]]
    guessed: frozenset[str]
    missing: dict[str, Treatment]
    left_out: int
    order: tuple[str, ...] = ()

    @property
    def open_labels(self) -> list[str]:
        """Labels whose meaning is for the user to say."""
        return [label for label, actions in self.labels.items() if actions is None]

    def columns(self, role: str) -> list[str]:
        """Columns with a role, in the order of the table."""
        return [name for name, own in self.roles.items() if own == role]


def propose_roles(
    table: nw.DataFrame[Any],
    known: Mapping[str, str] | None = None,
    meanings: Meanings | None = None,
) -> Proposal:
    """Propose roles of the columns of a table.

    Parameters
    ----------
    table : narwhals DataFrame
    known : mapping from column to role, optional
        Roles that are certain: "outcome", "regime", "action", "covariate", "group" and others.
    meanings : mapping from str to tuple of str, optional
        What regime labels stand for, where that is certain.

    Raises
    ------
    DataError
        If a column with a known role is not in the table.

    Examples
    --------
    >>> table = nw.from_dict(
    ...     {
    ...         "TV spend": [1.5, 2.0, 3.0],
    ...         "age": [30, 40, 50],
    ...         "sales": [1, 2, 4],
    ...         "test": ["BAU", "TV geo test", "BAU"],
    ...     },
    ...     backend="pandas",
    ... )
    >>> proposal = propose_roles(table)
    >>> proposal.roles
    {'TV spend': 'action', 'age': 'covariate', 'sales': 'outcome', 'test': 'regime'}
    >>> proposal.meanings
    {'BAU': (), 'TV geo test': ('TV spend',)}
    """
    return _Proposer(table, dict(known or {}), dict(meanings or {})).proposal()


class _Proposer:
    """Proposal in the making: roles and their reasons, from the certain to the doubtful."""

    def __init__(
        self, table: nw.DataFrame[Any], known: dict[str, str], meanings: dict[str, Any]
    ) -> None:
        for name, role in known.items():
            refuse_absent([name], table.columns, f" for the {role}")
        self.table, self.known, self.given = table, known, meanings
        self.contents = {name: content_of(table[name]) for name in table.columns}
        self.roles = dict(known)
        self.reasons: dict[str, str] = {}
        self.codes: dict[str, NDArray[np.float64]] = {}
        self.times: list[str] = []

    def proposal(self) -> Proposal:
        regime = next(iter(self._with_role("regime")), None) or self._regime()
        self._outcome("a guess by its name", self._named_outcomes())
        labels: dict[str, tuple[str, ...] | None] = {}
        rows: dict[str, int] = {}
        guessed: frozenset[str] = frozenset()
        if regime is not None:
            texts = [text.strip() for text in label_texts(self.table[regime].to_list())]
            rows, names = dict(Counter(texts).most_common()), self._candidates(regime)
            read = {text: self.given.get(text, _exact(text, names)) for text in rows}
            labels = _meanings(read, self._likely(names))
            guessed = frozenset(text for text, own in labels.items() if own != read[text])
            labels |= {text: self._with_held(labels, texts, text) for text in guessed}
            for name in dict.fromkeys(name for own in labels.values() for name in own or ()):
                self._set(name, "action", "named by the labels")
        self._outcome("a guess: the last column of numbers", self._last_numbers())
        if regime is not None and self._with_role("action"):
            self._times()
            self._groups()
            if None not in labels.values():
                self._covariates(texts, labels)
        missing, left_out = self._missing()
        roles = {name: self.roles[name] for name in self.table.columns if name in self.roles}
        # The most frequent labels first.
        explained = {text: labels[text] or () for text in rows if text in {*self.given, *guessed}}
        meanings = {**explained, **self.given}
        return Proposal(
            roles, self.reasons, labels, rows, meanings, guessed, missing, left_out, self._order()
        )

    def _with_held(
        self, labels: Mapping[str, tuple[str, ...] | None], texts: Sequence[str], label: str
    ) -> tuple[str, ...]:
        """Actions of a label, and those held fixed in its rows only, as drugs in monotherapy."""
        own, cells = labels[label] or (), np.array(texts) == label
        actions = dict.fromkeys(name for names in labels.values() for name in names or ())

        def is_held(name: str) -> bool:
            free = [name not in (labels[text] or ()) for text in texts]
            codes = self._codes(name)
            # A single row holds everything.
            return len(set(codes[cells])) == 1 < min(int(cells.sum()), len(set(codes[free])))

        return tuple(dict.fromkeys([*own, *(filter(is_held, actions) if own else ())]))

    def _with_role(self, role: str) -> list[str]:
        return [name for name, own in self.roles.items() if own == role]

    def _set(self, name: str, role: str, reason: str) -> None:
        if name not in self.known:
            self.roles[name], self.reasons[name] = role, reason

    def _free(self, *kinds: str) -> list[str]:
        """Columns of some kinds that have neither a role nor a reason to have none."""
        return [
            name
            for name, content in self.contents.items()
            if content.kind in kinds and name not in self.roles and name not in self.reasons
        ]

    def _called(self, name: str, words: Iterable[str]) -> bool:
        """Whether a column is called by some words and nothing else, such as "patient id"."""
        own = {word for word in words_of(name) if not word.isdigit()}
        return bool(own & {*words}) and own <= {*words} | _FILLERS

    def _regime(self) -> str | None:
        """The column of text whose labels are explained or name columns, or that is called so."""
        called = [
            name
            for name in self._free("levels", "whole", "constant", "text")
            if self.contents[name].distinct <= MAX_LEVELS and {*words_of(name)} & _REGIME
        ]
        others = [name for name in self._free("levels") if name not in called]
        for names in (called, others):
            clues = {name: self._clues(name) for name in names}
            best = max(names, key=clues.__getitem__, default="")
            if best and clues[best] > (False, 0.0):
                self._set(best, "regime", "they name columns")
                return best
        for name in called[:1]:
            self._set(name, "regime", "a guess by its name")
            return name
        return None

    def _clues(self, regime: str) -> tuple[bool, float]:
        """Whether a column has labels that are explained, and the share that names columns."""
        texts = dict.fromkeys(text.strip() for text in label_texts(self.table[regime].to_list()))
        names = self._candidates(regime)
        likely = self._likely(names)
        named = sum(bool(_exact(text, names) or meaning_of(text, likely)) for text in texts)
        return not self.given.keys().isdisjoint(texts), named / max(len(texts), 1)

    def _candidates(self, regime: str) -> list[str]:
        """Columns that labels may name: actions, if some are known, or those without a role."""
        without = [name for name in self.contents if name not in self.roles and name != regime]
        return [name for name, role in self.known.items() if role == "action"] or without

    def _likely(self, candidates: Sequence[str]) -> list[str]:
        """Candidates that labels may name by a word: not units, times or outcomes by name."""
        return [
            name
            for name in candidates
            if name in self.known
            or (
                self.contents[name].kind not in ("dates", "constant", "other")
                and not self._called(name, _UNIT | _TIME)
                and not {*words_of(name)} & {*_OUTCOME}
            )
        ]

    def _named_outcomes(self) -> list[str]:
        numbers = self._free("number", "whole", "text")
        return [name for word in _OUTCOME for name in numbers if word in words_of(name)]

    def _last_numbers(self) -> list[str]:
        numbers, others = self._free("number", "whole", "text"), _UNIT | _TIME | _WEIGHT
        return [name for name in reversed(numbers) if not self._called(name, others)]

    def _outcome(self, reason: str, names: Sequence[str]) -> None:
        """Propose the first of some columns as outcome, if there is none yet."""
        for name in names[: not self._with_role("outcome")]:
            self._set(name, "outcome", reason)

    def _times(self) -> None:
        """Dates and counts of time, of those that say the same the first, and what they decide."""
        counts = [name for name in self._free("whole") if self._called(name, _TIME)]
        dates = [name for name in self._free("dates") if holds_dates(self.table[name])]
        for name in [*dates, *counts]:
            finer = next((k for k in self.times if self._determines(k, name)), None)
            if finer is not None:
                self.reasons[name] = f"{finer!r} says it, too"
                continue
            self.times.append(name)
            is_date = name in dates
            self._set(name, "covariate", "with a trend and a yearly season" if is_date else "time")

    def _groups(self) -> None:
        """Units whose rows belong together, by their names or because text repeats."""
        rows, kept = len(self.table), self._with_role("group")
        fine = any(self.contents[name].distinct > MAX_GROUP_COLUMNS for name in kept)
        called = [n for n in self._free("levels", "names", "whole", "other") if self._is_unit(n)]
        texts = []
        for name in self._free("levels", "names"):
            if {*words_of(name)} & _NOTES:
                self.reasons[name] = "free text, by its name"
            elif name in called or self.contents[name].distinct <= MAX_COVARIATE_LEVELS:
                continue
            elif (
                self.contents[name].missing
                or np.median(np.unique(self._codes(name), return_counts=True)[1]) < 2
            ):
                self.reasons[name] = "a group only if these are units"
            else:
                texts.append(name)
        for name in [*called, *(texts if len(texts) <= MAX_PROPOSED else [])]:
            distinct = self.contents[name].distinct
            if 2 * distinct > rows - self.contents[name].missing:
                self.reasons[name] = "an id: a value per row, or nearly"
            elif same := self._same_units(name, kept):
                self.reasons[name] = f"the same units as {same!r}"
            elif distinct > MAX_GROUP_COLUMNS and fine:
                self.reasons[name] = f"only one grouping may have over {MAX_GROUP_COLUMNS} groups"
            else:
                fine |= distinct > MAX_GROUP_COLUMNS
                kept.append(name)
                self._set(name, "group", "units whose rows belong together")
        for name in self._free("levels", "whole"):
            if same := self._same_units(name, kept):
                self.reasons[name] = f"the same units as {same!r}"
            elif self.contents[name].kind == "whole" and self.contents[name].distinct == rows:
                values = numeric_column(self.table, name, DataError)
                if np.ptp(values) + 1 == rows:
                    self.reasons[name] = "numbers of rows"

    def _order(self) -> tuple[str, ...]:
        """A grouping and a time such that each group has many times, each once, and shares them."""
        for unit in self._with_role("group"):
            for time in self.times:
                pairs = np.column_stack([self._codes(unit), self._codes(time)])
                count, distinct = len(np.unique(pairs, axis=0)), self.contents[time].distinct
                if count == len(pairs) >= MIN_TIMES * max(distinct, self.contents[unit].distinct):
                    return unit, time
        return ()

    def _same_units(self, name: str, groups: Sequence[str]) -> str:
        """A grouping that groups the same rows as a column; empty if there is none."""
        same = (own for own in groups if np.array_equal(self._codes(own), self._codes(name)))
        return next(same, "")

    def _is_unit(self, name: str) -> bool:
        content = self.contents[name]
        few = content.kind == "levels" and content.distinct <= MAX_UNITS_AS_LEVELS
        return self._called(name, _UNIT) and not few

    def _covariates(
        self, texts: Sequence[str], labels: Mapping[str, tuple[str, ...] | None]
    ) -> None:
        """Levels and numbers, if they are few and no sign says that an action changes them."""
        most = MAX_MISSING_SHARE * len(texts)
        levels = self._free("levels")
        numbers = [
            name
            for name in self._free("number", "whole")
            if not self._called(name, _WEIGHT)
            and not self._called(name, _OUTCOME)
            and self.contents[name].missing <= most
        ]
        free = [n for names in (levels, numbers) if len(names) <= MAX_PROPOSED for n in names]
        values, actions = self._values(free), self._with_role("action")
        known, limit = [*actions, *self._with_role("outcome")], 1 - MIN_OTHER_SHARE
        originals = self._values(known)
        settings = originals[:, : len(actions)]
        for name, column in zip(free, values.T, strict=True):
            copied = copied_action(column, originals)
            if copied is not None:
                self.reasons[name] = f"a copy of {known[copied]!r}"
            elif np.unique(column, return_counts=True)[1].max() > limit * len(column):
                self.reasons[name] = "nearly always the same"
        # With the coarser groupings, too, the tests would have no power.
        groups = map(self._codes, self._with_role("group"))
        finest = sorted(groups, key=lambda codes: codes.max())[-1:]
        dates = [n for n in self._with_role("covariate") if self.contents[n].kind == "dates"]
        days = [pd.factorize(self.table[name].to_numpy(), sort=True)[0] for name in dates]
        rows, none = random_rows(len(texts), MAX_ROWS), np.empty((len(texts), 0))
        masks = np.array([[name in (labels[text] or ()) for name in actions] for text in texts])
        changes = changed_covariates(
            values[rows],
            settings[rows],
            [self._has_levels(name) for name in (*free, *actions)],
            masks[rows],
            np.column_stack([none, *finest])[rows],
            np.column_stack([none, *days])[rows],
        )
        for change in sorted(changes, key=lambda change: not change.by_value):
            action, p = actions[change.action], f"(p = {change.p:.1g})"
            sign = f"differs where {action!r} was set {p}: a covariate only if no action changes it"
            if change.by_value:
                sign = f"depends on {action!r} where that was set {p}: no covariate"
            self.reasons.setdefault(free[change.covariate], sign)
        for name in free:
            if name not in self.reasons:
                self._set(name, "covariate", "a covariate if no action changes it")

    def _has_levels(self, name: str) -> bool:
        """Whether a column has levels that a fit could have."""
        return has_levels(self.table, name) and self.contents[name].distinct <= MAX_LEVELS

    def _values(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Columns as numbers, or codes of text."""
        columns = [
            self._codes(name) if has_levels(self.table, name) else self._numbers(name)
            for name in names
        ]
        return np.column_stack([np.empty((len(self.table), 0)), *columns])

    def _numbers(self, name: str) -> NDArray[np.float64]:
        """A column of numbers, the median where cells are missing."""
        values = numeric_column(self.table, name, DataError)
        return np.where(np.isfinite(values), values, np.nanmedian(values))

    def _codes(self, name: str) -> NDArray[np.float64]:
        """Codes of the distinct cells of a column in order of occurrence, -1 where missing."""
        if name not in self.codes:
            self.codes[name] = pd.factorize(self.table[name].to_numpy())[0].astype(np.float64)
        return self.codes[name]

    def _determines(self, finer: str, name: str) -> bool:
        """Whether cells of one column that are equal have equal cells in another."""
        distinct = pd.Series(self._codes(name)).groupby(self._codes(finer)).nunique()
        return bool((distinct == 1).all())

    def _missing(self) -> tuple[dict[str, Treatment], int]:
        """Treatment of missing cells in columns with roles, and the rows that it leaves out."""
        absent = {
            name: missing_cells(self.table[name])
            for name, role in self.roles.items()
            if role not in ("regime", "sd of the outcome") and self.contents[name].missing
        }
        levels: dict[str, Treatment] = {
            name: "level"
            for name in absent
            if self.roles[name] == "covariate" and has_levels(self.table, name)
            and self.contents[name].kind != "dates"
        }  # fmt: skip
        dropped = [cells for name, cells in absent.items() if name not in levels]
        most: dict[str, Treatment] = {"": "drop"} if dropped else {}
        return most | levels, int(np.any(dropped, axis=0).sum()) if dropped else 0


def _meanings(
    read: Mapping[str, tuple[str, ...] | None], names: Sequence[str]
) -> dict[str, tuple[str, ...] | None]:
    """What labels stand for, given those that say so themselves, most frequent label first."""
    labels = {
        text: meaning_of(text, names) if actions is None else actions
        for text, actions in read.items()
    }
    unknown = [text for text, actions in labels.items() if actions is None]
    # The usual state needs no name, unless another label says so.
    if len(labels) > 1 and unknown == [next(iter(labels))] and () not in labels.values():
        labels[unknown[0]] = ()
    return labels


def _exact(label: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """Actions in a label as a reader of labels finds them."""
    with suppress(UnknownActionError):
        return LabelReader(names).actions(label)
    return None
