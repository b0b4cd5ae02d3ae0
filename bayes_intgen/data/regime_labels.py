"""Regime labels: text that names the actions that were set in a row."""

import re
import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_intgen._arguments import items, mapping
from bayes_intgen.data.covariates import cell_text, group_label
from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import regime_label
from bayes_intgen.text.messages import (
    first_few,
    hint,
    option,
    quoted,
    refuse_unknown_actions,
    unknown_action,
)

OBSERVATIONAL = regime_label(())
SEPARATOR = "+"
# Separators of actions in a label, in the order in which they are tried: names may contain them.
SEPARATORS = (r"\+", ",", r"[+,]")
INTERVENTION = re.compile(r"do\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
# Words of labels of rows in which nothing was set, in English and German.
NOTHING_SET = re.compile(
    r"bau|usual|none|no|nothing|control\w*|histor\w*|observ\w*|regist\w*|baseline|normal\w*|routine|"
    r"without|not|non|excl\w*|off|kein\w*|ohne|nichts|kontroll\w*|aus"
)
# Labels of a column about one action.
FLAGS = frozenset(["false", "true", "0", "1"])
# Words of labels that name an action which may not have been set, or not yet.
NOT_THEN = re.compile(r"pre|post|before|after|cancel\w*|plan\w*|vor|nach|abgesagt|geplant\w*")
# Minimum number of letters with which two words begin alike, such as "Radiotest" and "Radiospots".
MIN_LETTERS = 4

Labels = Mapping[str, str | Sequence[str] | None]
Meanings = Mapping[str, tuple[str, ...]]


class UnknownActionError(LookupError):
    """Part of a label that is not an action."""


class LabelReader:
    """Reader of regime labels, regardless of case where that is unambiguous.

    Parameters
    ----------
    names : sequence of str
        Names of the actions.
    meanings : mapping from str to tuple of str, optional
        Actions that further labels stand for.

    Examples
    --------
    >>> reader = LabelReader(["red", "green"], {"BAU": ()})
    >>> [reader.actions(label) for label in ("do(red)", "Red, green", "red+green", "", "BAU")]
    [('red',), ('red', 'green'), ('red', 'green'), (), ()]
    """

    def __init__(self, names: Sequence[str], meanings: Meanings = MappingProxyType({})) -> None:
        self.names, self._meanings = tuple(dict.fromkeys(names)), meanings
        counts = Counter(name.casefold() for name in names)
        self._of_folded = {n.casefold(): n for n in names if counts[n.casefold()] == 1}

    def actions(self, label: str) -> tuple[str, ...]:
        """Actions in a label; raises UnknownActionError with the first unknown part."""
        whole = label if label in self.names else label.strip()
        if whole in self._meanings:
            return self._meanings[whole]
        if is_observational(whole):
            return ()
        name = self._name(whole)
        if name is not None:
            return (name,)
        for separator in SEPARATORS:
            parts = [part.strip() for part in re.split(separator, whole)]
            named = [self._name(part) for part in parts]
            if None not in named:
                return tuple(name for name in named if name is not None)
        inner = INTERVENTION.fullmatch(whole)
        if inner:
            return self.actions(inner[1])
        raise UnknownActionError(next(p for p, n in zip(parts, named, strict=True) if n is None))

    def _name(self, part: str) -> str | None:
        if part in self.names:
            return part
        inner = INTERVENTION.fullmatch(part)
        return self._of_folded.get(part.casefold()) or (self._name(inner[1]) if inner else None)


def is_observational(label: str) -> bool:
    """Whether a label says that no action was set.

    Examples
    --------
    >>> is_observational(" Observational"), is_observational("do()"), is_observational("control")
    (True, True, False)
    """
    return label.strip().casefold() in ("", OBSERVATIONAL, "do()")


def checked_meanings(labels: Labels | None, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Validate the argument ``labels``: actions by label, None or "" where none was set.

    Raises
    ------
    DataError
        If it is no mapping, or names an unknown action.

    Examples
    --------
    >>> checked_meanings({"TV test": "tv", "Both": "tv+radio", "BAU": None}, ["tv", "radio"])
    {'TV test': ('tv',), 'Both': ('tv', 'radio'), 'BAU': ()}
    """
    reader, meanings = LabelReader(names), {}
    for label, actions in mapping(labels, "labels", "regime labels to actions", DataError).items():
        if actions is None or isinstance(actions, str):
            try:
                meaning = reader.actions(actions or "")
            except UnknownActionError as unknown:
                raise DataError(
                    f"the label {label!r} stands for an {unknown_action(str(unknown), list(names))}"
                ) from None
        else:
            meaning = items(actions, f"labels[{label!r}]", "actions", DataError)
            refuse_unknown_actions(meaning, names, DataError, f"the label {label!r}: ")
        meanings[group_label(label)] = meaning
    return meanings


def refuse_unused(meanings: Meanings, occurring: Any, column: str) -> None:
    """Raise DataError if a label that was given a meaning is not among those that occur.

    Examples
    --------
    >>> refuse_unused({"BUA": ()}, {"BAU", "tv"}, "test")
    Traceback (most recent call last):
    bayes_intgen.errors.DataError: no row has the label 'BUA'; did you mean 'BAU'? The labels in \
column 'test' are 'BAU', 'tv'
    """
    if occurring is None:
        return
    present = sorted({str(label).strip() for label in occurring})
    for label in meanings:
        if label not in present:
            start = hint(label, present)
            raise DataError(
                f"no row has the label {label!r}; {start} labels in column {column!r} are "
                f"{quoted(present)}"
            )


def label_texts(cells: Sequence[Any]) -> list[str]:
    """Labels as text, empty where they are missing, whole numbers without a decimal point.

    Examples
    --------
    >>> label_texts(["tv", None, 2.0])
    ['tv', '', '2']
    """
    # NumPy would make a table of lists of equal length.
    absent = pd.isna(pd.Series(cells, dtype=object)).to_numpy()
    return ["" if missing else cell_text(cell) for cell, missing in zip(cells, absent, strict=True)]


def masks_of_labels(
    cells: Sequence[Any], reader: LabelReader, column: str, rows: NDArray[np.int_]
) -> NDArray[np.bool_]:
    """Masks of the distinct cells of a column of labels, shape (n, K); missing ones are empty.

    Raises
    ------
    DataError
        On labels with unknown actions; ``rows`` are the numbers of the first rows of the labels.
    """
    names, masks = reader.names, np.zeros((len(cells), len(reader.names)), dtype=bool)
    unknown: dict[str, tuple[str, int]] = {}
    for mask, label, row in zip(masks, label_texts(cells), rows.tolist(), strict=True):
        try:
            mask[:] = np.isin(names, reader.actions(label))
        except UnknownActionError as part:
            unknown.setdefault(label, (str(part), row))
    if unknown:
        raise DataError(_refusal(unknown, reader, column))
    return masks


def _refusal(unknown: Mapping[str, tuple[str, int]], reader: LabelReader, column: str) -> str:
    """Name labels that cannot be read, by their unknown parts and rows, and the remedy."""
    guesses = {label: _guess(label, part, reader) for label, (part, _) in unknown.items()}
    shown = [
        f"{label!r} in row {unknown[label][1]}"
        + (f" (did you mean {guess or OBSERVATIONAL!r}?)" if guess is not None else "")
        for label, guess in guesses.items()
    ]
    known = {label: guess for label, guess in guesses.items() if guess is not None}
    examples = dict([*known.items()][:2]) or {next(iter(unknown)): reader.names[0]}
    python = {label: actions or None for label, actions in examples.items()}
    typed = " ".join(spelled_meaning(label, actions) for label, actions in examples.items())
    joined = SEPARATOR.join(reader.names[:2])
    several = f"; join a column per action into labels such as {joined!r}"
    are_flags = len(reader.names) > 1 and FLAGS.issuperset(map(str.casefold, unknown))
    remedy = option("labels", repr(python), command=typed)
    nothing = option("None", command="nothing")
    return (
        f"column {column!r} has labels that name no action: {first_few(shown)}. Say what they "
        f"stand for: {remedy} ({nothing} where no action was set); the actions are "
        f"{quoted(reader.names)}{several * are_flags}"
    )


def spelled_meaning(label: str, actions: str) -> str:
    """Option of the command line that says which actions a label stands for.

    Examples
    --------
    >>> print(spelled_meaning("TV geo test", "tv"), spelled_meaning("BAU", ""))
    --label 'TV geo test=tv' --label BAU=
    """
    return f"--label {shlex.quote(f'{label}={actions}')}"


def _guess(label: str, part: str, reader: LabelReader) -> str | None:
    """What an unknown label may mean, as a label that can be read; None without an idea."""
    meaning = meaning_of(label, reader.names)
    # Before names that are spelled alike: 'none' and 'banner'.
    is_no = part.casefold() in ("false", "0") or meaning == ()
    if is_no or get_close_matches(part.casefold(), [OBSERVATIONAL], cutoff=0.7):
        return ""
    folded = {name.casefold(): name for name in reader.names}
    for close in get_close_matches(part.casefold(), folded, n=1):
        corrected = label.replace(part, folded[close])
        with suppress(UnknownActionError):
            reader.actions(corrected)
            return corrected
    return None if meaning is None else SEPARATOR.join(meaning)


def meaning_of(label: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """Actions whose names share words with a label: (), if it says that none was set.

    Words are compared regardless of case, and by their first letters. Parts of a label that are
    joined by +, & or commas are read one by one if all can be. None if nothing fits, if several
    actions fit equally well, if a part that is joined by + or & does not fit, or if the label is
    about another time.

    Examples
    --------
    >>> names = ["TV spend", "Radio spend", "Revenue"]
    >>> [meaning_of(text, names) for text in ("TV geo test (spring)", "Radiotest", "BAU", "spend")]
    [('TV spend',), ('Radio spend',), (), None]
    >>> [meaning_of(text, names) for text in ("TV & radio", "TV + posters", "without TV", "pre TV")]
    [('TV spend', 'Radio spend'), None, None, None]
    """
    of_names = {word for name in names for word in words_of(name)}
    if any(map(NOT_THEN.fullmatch, {*words_of(label)} - of_names)):
        return None
    words, found = words_of(label), _best_matches(label, names)
    if not words or any(map(NOTHING_SET.fullmatch, words)):
        # A label such as 'TV on, radio off' leaves open which of the names it denies.
        return None if found or re.search(r"[+&]", label) else ()
    parts = [_best_matches(part, names) for part in re.split(r"[+&,]", label)]
    alone = {part[0] for part in parts if len(part) == 1}
    if len(alone) == len(parts) > 1:
        return tuple(part[0] for part in parts)
    if len(found) != 1 or (re.search(r"[+&]", label) and any(len(part) != 1 for part in parts)):
        # With a part that fits no name, more was set than the names say.
        return None
    return (found[0],)


@lru_cache(4096)
def words_of(text: str) -> tuple[str, ...]:
    """Words and numbers in a name, in lower case.

    Examples
    --------
    >>> words_of("TVSpend_2 (net)")
    ('tv', 'spend', '2', 'net')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return tuple(re.findall(r"[^\W\d_]+|\d+", spaced.casefold()))


def _best_matches(label: str, names: Sequence[str]) -> list[str]:
    """Names that share most words with a label; none if no name shares any."""
    words = {word for word in words_of(label) if not NOTHING_SET.fullmatch(word)}
    scores = {name: _score(words, words_of(name)) for name in names}
    best = max(scores.values(), default=(0, 0.0))
    return [name for name, score in scores.items() if score == best > (0, 0.0)]


def _score(words: Collection[str], name: Sequence[str]) -> tuple[int, float]:
    """How well a name agrees with words: equal words count twice, numbers alone do not."""
    equal = [word for word in name if word in words]
    alike = [word for word in name if word not in words and any(_alike(word, w) for w in words)]
    if not any(word.isalpha() for word in equal + alike):
        return 0, 0.0
    return 2 * len(equal) + len(alike), (len(equal) + len(alike)) / len(name)


def _alike(one: str, other: str) -> bool:
    """Whether words begin alike, with a word of three letters as a whole."""
    letters = min(MIN_LETTERS, max(3, min(len(one), len(other))))
    return one[:letters] == other[:letters]
