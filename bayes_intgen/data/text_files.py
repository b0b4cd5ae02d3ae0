"""Text files as spreadsheets export them: encodings, separators, header lines, totals."""

import codecs
import csv
import gzip
import io
import math
import re
import shlex
import warnings
import zlib
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from textwrap import shorten
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from bayes_intgen.data.cells import (
    MISSING,
    MISSING_VALUES,
    PLAIN_NUMBER,
    CleanedColumn,
    Question,
    by_answer,
    is_missing,
    is_value,
    read_columns,
    reading_of,
)
from bayes_intgen.data.tables import missing_cells
from bayes_intgen.errors import DataError
from bayes_intgen.text.formats import align_columns
from bayes_intgen.text.messages import MAX_PARTS, first_few, in_words, option

# Commas last, since they are in names and numbers of files with other separators too.
SEPARATORS = ";\t|,"
# Decimal mark of files with a separator, where no cell shows it.
CONVENTIONS: Mapping[str, tuple[str, ...]] = {",": (".",), ";": (",",)}
# Number of lines that show what a file holds, and maximum number of lines before the rows.
FIRST_LINES, MAX_HEADER = 60, 20
TOTALS = frozenset(["total", "totals", "grand total", "sum", "summe", "gesamt", "gesamtsumme"])
# Number of rows whose texts are compared with the numbers that pandas read.
SAMPLE_ROWS = 1000
# Maximum length of an example in a table.
MAX_EXAMPLE = 30
# Maximum length of a last line in which totals are looked for.
MAX_LINE = 100_000
# Number of characters that are read at once from files that are not read as a whole: some 60,000
# rows of ten columns.
PART = 2**23
# Cells that no line of names or units has among numbers, such as "<0.1".
LIKE_NUMBER = re.compile(r"\W*\d")
# Texts that may be thousands although pandas reads them as decimals.
THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}[.][0-9]{3}")
# Whole numbers that lose zeros, which may be names.
PADDED = re.compile(r"\s*[-+]?0[0-9]")


@dataclass(frozen=True)
class Cleaned:
    """A table whose columns of text were read, and an account of it.

    Attributes
    ----------
    frame : table
    columns : list of CleanedColumn
    notes : tuple of str
        What was found around the rows.
    """

    frame: Any
    columns: Sequence[CleanedColumn]
    notes: tuple[str, ...] = ()

    @property
    def questions(self) -> list[Question]:
        """Questions to the user."""
        return [question for column in self.columns for question in column.questions]

    def summary(self, source: str = "") -> str:
        """What was read otherwise than from plain cells, in a line or two; empty if nothing was."""
        asked = [
            f"{where} stays text: {own.in_words()}" for where, own in by_answer(self.questions)
        ]
        odd = [column for column in self.columns if not column.plain and not column.questions]
        # Those first in which cells count as missing that programs would not take for such.
        odd.sort(key=lambda column: MISSING_VALUES.issuperset(column.markers))
        parts = [*self.notes, *asked, *map(str, odd)]
        more = [f"{len(parts) - MAX_PARTS} more"] if len(parts) > MAX_PARTS else []
        if more and source:
            more[0] += f": {option('bi.clean(path)', command=_clean_command(source))} shows all"
        start = f"{source}: " if source and parts else ""
        return start + "; ".join([*parts[:MAX_PARTS], *more])

    def __str__(self) -> str:
        """Table of the columns, and what was found around the rows."""
        rows = [
            [
                column.name,
                "?" if column.questions else column.kind,
                shorten(column.raw, MAX_EXAMPLE)
                + (f" → {column.value}" if column.value != column.raw else ""),
                ", ".join([*([f"{column.missing:,}"] if column.missing else []),
                           *map(repr, column.markers)]),
            ]
            for column in self.columns
        ]  # fmt: skip
        notes = [f"{note[0].upper()}{note[1:]}." for note in self.notes]
        reasons = [
            f"{column.name!r} stays text: {column.reason}."
            for column in self.columns
            if column.reason and not column.questions
        ]
        asked = [
            f"{where} stays text: {question}."
            for where, question in by_answer(self.questions)
            if question.option == "cells"
        ]
        head = ["column", "read as", "example", "missing"]
        return "\n".join([align_columns(head, rows, left=4), *notes, *reasons, *asked])

    def refuse_questions(self) -> None:
        """Raise DataError if columns have two readings, naming the options that choose one."""
        parts = [
            f"{where}: {question}"
            for where, question in by_answer(self.questions)
            if question.option != "cells"
        ]
        if parts:
            raise DataError(f"nothing is written before a choice: {'; '.join(parts)}")


def _clean_command(source: str | Path) -> str:
    """Command that cleans a text file."""
    output = Path(source).with_suffix(".parquet")
    return f"`{shlex.join(['bayes-intgen', 'clean', str(source), '-o', str(output)])}`"


@dataclass(frozen=True)
class _Layout:
    """Rows of a text, the names of their columns, and what was found around them."""

    separator: str
    names: tuple[str, ...]
    rows: str
    notes: tuple[str, ...]


def cleaned_columns(table: "nw.DataFrame[Any]", regime: str, **answers: Any) -> Cleaned:
    """Read the columns of text of a table in memory, with answers to questions."""
    if not all(isinstance(name, str) for name in table.columns):
        raise DataError("names of columns must be text; rename columns that are numbers")
    names = {name: " ".join(name.split()) for name in table.columns}
    if len({*names.values()}) < len(names):
        raise DataError("names of columns differ by spaces only; rename one")
    texts = {}
    for name in table.columns:
        if names[name] != regime and table[name].dtype in (nw.String, nw.Object):
            cells = pd.Series(table[name].to_list(), dtype=object).mask(missing_cells(table[name]))
            present = cells.dropna()
            if len(present) and all(isinstance(cell, str) for cell in present):
                texts[name] = cells
    converted, read = read_columns(texts, **answers)
    is_pandas, changed = table.implementation.is_pandas_like(), []
    for name, cells in converted.items():
        objects = cells.astype(object).where(cells.notna(), None)
        values = cells.array if is_pandas else objects.to_list()
        changed.append(nw.new_series(name, values, backend=table.implementation))
    accounts = {name: plain_column(name, table[name], regime) for name in table.columns}
    accounts |= {column.name: column for column in read}
    return Cleaned(
        table.with_columns(*changed).rename(names).to_native(),
        [column._replace(name=names[name]) for name, column in accounts.items()],
    )


def plain_column(name: str, series: "nw.Series[Any]", regime: str | None) -> CleanedColumn:
    """Account of a column that needs no reading."""
    missing = missing_cells(series)
    first = str(series[int(np.argmin(missing))]) if not missing.all() else ""
    kinds = {
        "labels": name == regime,
        "numbers": series.dtype.is_numeric(),
        "dates": series.dtype.is_temporal(),
        "true or false": series.dtype == nw.Boolean,
        "text": True,
    }
    kind = next(kind for kind, holds in kinds.items() if holds)
    return CleanedColumn(name, kind, first, first, int(missing.sum()))


def read_text(source: Path, regime: str | None, **answers: Any) -> Cleaned:
    """Read a text file, the column ``regime`` as labels, with answers to questions.

    Raises
    ------
    DataError
        If the file cannot be read, or two columns have the same name.
    """
    with _opened(source) as (file, notes):
        text = file.read()
        layout = _layout_of_text(text, source)
        width = _width(layout, source)
        cleaned = _without_last_lines(layout, width, regime, answers)
    return replace(cleaned, notes=(*notes, *layout.notes, *cleaned.notes))


def text_parts(
    source: Path, wanted: Collection[str] | None, regime: str | None
) -> Generator[pd.DataFrame, None, tuple[str, ...]]:
    """Read some columns of a text file in parts, so that it need not be in memory.

    They are those of :func:`read_text`, as each part must show by itself. None stands for all, each
    part read on its own. The value at the end is what was found around the rows.

    Raises
    ------
    DataError
        As there, and if the cells of a part have another reading than as they stand, or than those
        of the part before.
    """
    kinds = dict[str, str]()
    with _opened(source, PART) as (file, notes):
        parts = _parts(file)
        layout = _layout_of_text(next(parts, ""), source)
        # An error names a column that is absent, and those that it may be.
        every = used = layout.names
        if wanted is not None and {*wanted} <= {*every}:
            used = tuple(name for name in every if name in wanted)
        part = layout
        for following in chain(parts, [None]):
            width = _width(part, source)
            if following is None:
                _, last = _last_line(part.rows, part.separator)
                if total := next((cell for cell in last if _is_total(cell)), ""):
                    raise DataError(f"the last line of {source} is a {total!r}; delete that line")
                cleaned = _without_last_lines(part, width, regime, {})
            else:
                cleaned = _read_rows(part, width, regime, {}, used)
            for column in cleaned.columns:
                is_wanted = wanted is not None and column.name in used
                if is_wanted and column.missing < len(cleaned.frame):
                    _refuse_unclear(column, kinds.setdefault(column.name, column.kind), source)
            yield cleaned.frame[list(used)]
            part = replace(layout, rows=following or "")
        return (*notes, *layout.notes, *cleaned.notes)


def _refuse_unclear(column: CleanedColumn, kind: str, source: Path) -> None:
    """Raise DataError on a column of a part that is not plain, or of another kind than before."""
    if column.kind != kind:
        what = f"{kind}, and then {column.kind}"
    elif column.questions or not (column.plain or kind == "text"):
        is_marker = column.raw == column.value and column.markers
        cell = column.markers[0] if is_marker else column.raw
        what = f"cells such as {cell!r}, whose reading depends on all rows"
    else:
        return
    remedy = option("bi.read(bi.clean(path), ...)", command=_clean_command(source))
    raise DataError(
        f"column {column.name!r} holds {what}, and {source.name} is read in parts; if memory "
        f"suffices, read all at once: {remedy}"
    )


def _encoding_of(start: bytes) -> str:
    """Encoding of a text by its first bytes: that of Windows, if they are not UTF-8 or UTF-16."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        # A character may be cut at the end.
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


@contextmanager
def _opened(source: Path, size: int = -1) -> Iterator[tuple[TextIOWrapper, tuple[str, ...]]]:
    """Open a text, which may be compressed and whose first bytes, or all, show its encoding.

    With a note on this. Raises DataError if it cannot be read or decoded, or if pandas or the
    parser of lines refuse it.
    """
    open_: Any = gzip.open if source.suffix.lower() == ".gz" else open
    try:
        with open_(source, "rb") as file:
            encoding = _encoding_of(file.read(size))
            file.seek(0)
            notes = ("read as Windows-1252, not UTF-8",) * (encoding == "cp1252")
            yield TextIOWrapper(file, encoding), notes
    except DataError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{source} cannot be read ({error})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is not UTF-8 text ({error}); save it as UTF-8") from error
    except (csv.Error, ValueError) as error:  # includes pandas' parser errors
        reason = str(error).strip().splitlines()[-1]
        raise DataError(f"{source} cannot be read as a table ({reason})") from error


def _parts(file: TextIOWrapper) -> Iterator[str]:
    """Text of a file in parts of whole lines, with the line ends of Unix."""
    rest = ""
    while more := file.read(PART):
        text = rest + more
        end = _end_of_rows(text)
        rest = text[end:]
        if end:
            yield text[:end]
    if rest:
        yield rest


def _end_of_rows(text: str) -> int:
    r"""Where the last row of a text ends, apart from line ends in quoted cells.

    Examples
    --------
    >>> _end_of_rows('1,"a"\n2,"b\nc'), _end_of_rows('1,2"\n3,4'), _end_of_rows("1,2")
    (6, 5, 0)
    """
    last = end = text.rfind("\n") + 1
    quotes = text.count('"', 0, end)
    while quotes % 2:
        before = text.rfind("\n", 0, end - 1) + 1
        quotes -= text.count('"', before, end)
        end = before
    # A quote that stands alone is part of a cell.
    return end or last


def _layout_of_text(text: str, source: Path) -> _Layout:
    """Find the layout of a text; raises DataError without names, or if one repeats."""
    separator = ""
    if text[:4].lower() == "sep=" and text[5:6] == "\n":
        separator, text = text[4], text[6:]
    if not text or text.isspace():
        raise DataError(f"{source} has no header line: the first line must name the columns")
    layout = _layout(text, separator)
    names = layout.names
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise DataError(f"{source} has two columns called {repeated[0]!r}; rename one")
    return layout


def _layout(text: str, separator: str) -> _Layout:
    """Find the separator, the line or lines that name the columns, and the first row.

    Lines before the rows have text where most rows have numbers or dates. The first complete one
    without repetition names the columns, and others, of titles, groups or units, are left out.
    If there is none, all of them do, together.
    """
    end = 0
    for _ in range(FIRST_LINES):
        end = text.find("\n", end) + 1 or len(text)
    first_lines = list(io.StringIO(text[:end]))

    def lines_alike(separator: str) -> int:
        counts = Counter(map(len, csv.reader(first_lines, delimiter=separator)))
        return max(count if width > 1 else 0 for width, count in counts.items())

    separator = separator or max(SEPARATORS, key=lines_alike)
    reader = csv.reader(first_lines, delimiter=separator)
    lines = [[cell.strip() for cell in cells] for cells in reader]
    width = max((i + 1 for cells in lines for i, cell in enumerate(cells) if cell), default=1)
    lines = [[*cells, *[""] * width][:width] for cells in lines]
    are_values = [[is_value(cell) for cell in cells] for cells in lines]
    counts = [
        (sum(of[j] for of in are_values[1:]), sum(not is_missing(of[j]) for of in lines[1:]))
        for j in range(width)
    ]
    numeric = [j for j, (values, present) in enumerate(counts) if 2 * values > present]

    def is_head(i: int) -> bool:
        cells = [lines[i][j] for j in numeric if not is_missing(lines[i][j])]
        # Rows have cells such as "<0.1" among numbers, and labels that other rows have, too.
        is_row = any(are_values[i][j] for j in numeric) or any(map(LIKE_NUMBER.match, cells))
        is_row = is_row or any(
            cell and any(of[j] == cell for of in lines[i + 1 :])
            for j, cell in enumerate(lines[i])
            if j not in numeric
        )
        return not any(lines[i]) or (bool(cells) and not is_row)

    def is_sparse(i: int) -> bool:
        return 2 * sum(map(bool, lines[i])) <= width

    start = next((i for i, cells in enumerate(lines) if any(cells)), 0)
    end = start + 1
    while numeric and end < min(len(lines), MAX_HEADER) and (is_head(end) or is_sparse(end)):
        end += 1
    heads = [i for i in range(start, end) if i == start or (is_head(i) and any(lines[i]))]
    named = [i for i in heads if all(lines[i]) and len({*lines[i]}) == width][:1]
    # A line of units may follow the names, and no more.
    heads = [i for i in heads if not named or i <= named[0] + 1]
    # Titles are alone in the first column, and lines such as "Created: 1/2/2024" come before names.
    values = [i for i in range(start, heads[-1]) if i not in heads and any(lines[i])]
    together = [i for i in heads if i > max(values, default=-1)]
    used = named or [i for i in together if any(lines[i][1:])] or together
    names = _joined([lines[i] for i in used])
    joined = (name for name, last in zip(names, lines[used[-1]], strict=False) if name != last)
    notes = []
    if used[1:]:
        notes.append(f"columns such as {max(joined, key=len)!r} are named by {len(used)} lines")
    first = heads[-1] + 1
    left_out = [i for i in range(start, first) if i not in used and any(lines[i])]
    others = [f"{i + 1} ({next(filter(None, lines[i]))!r})" for i in left_out]
    if others:
        notes.append(f"line{'s' * bool(others[1:])} {in_words(others)} left out")
    reader = csv.reader(first_lines, delimiter=separator)
    for _ in range(first):
        next(reader)
    rows = text[sum(map(len, first_lines[: reader.line_num])) :]
    # Tables that were put together repeat the line of names.
    named_by = f"\n{first_lines[used[-1]]}"
    if count := named_by.endswith("\n") and separator in named_by and rows.count(named_by):
        rows = rows.replace(named_by, "\n")
        notes.append(f"{count} line{'s' * (count > 1)} with the names again left out")
    return _Layout(separator, names, rows, tuple(notes))


def _joined(lines: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Names of columns in one or more lines, of which all but the last have names of groups."""
    *groups, last = map(list, lines)
    for cells in groups:
        for j in range(1, len(cells)):
            # A cell that names its own column has no other below it.
            cells[j] = cells[j] or (cells[j - 1] if last[j - 1] else "")
    names = [" ".join(" ".join(parts).split()) for parts in zip(*groups, last, strict=True)]
    while len(names) > 1 and not names[-1]:
        names.pop()
    return tuple(name or f"Unnamed: {j}" for j, name in enumerate(names))


def _width(layout: _Layout, source: Path) -> int:
    """Number of cells of the longest line; raises DataError on text beyond the header's columns."""
    text, count = layout.rows, len(layout.names)
    # Quoted cells may contain separators and line breaks; otherwise only suspects are parsed.
    lines = (
        io.StringIO(text)
        if '"' in text
        else (line for line in text.splitlines() if line.count(layout.separator) >= count)
    )
    width = count
    for cells in csv.reader(lines, delimiter=layout.separator):
        if any(cell.strip() for cell in cells[count:]):
            raise DataError(
                f"{source} has lines with more cells than the header's {count}; quote cells "
                f"that contain {layout.separator!r}, or name every column"
            )
        width = max(width, len(cells))
    return width


def _without_last_lines(
    layout: _Layout, width: int, regime: str | None, answers: Mapping[str, Any]
) -> Cleaned:
    """Read rows, without last lines of totals or with text in the first cell only."""
    footers: list[str] = []
    kept = layout.rows
    rows, cells = _last_line(kept, layout.separator)
    while len(layout.names) > 1 and _is_note(cells) and len(footers) <= MAX_HEADER:
        footers.insert(0, cells[0])
        kept = rows
        rows, cells = _last_line(kept, layout.separator)
    if kept and len(footers) <= MAX_HEADER:
        layout = replace(layout, rows=kept)
    else:
        footers = []
    words = [cell for cell in cells if _is_total(cell)]
    cleaned = _read_rows(replace(layout, rows=rows) if words else layout, width, regime, answers)
    if words:
        sums = cleaned.frame.sum(numeric_only=True)
        for name, cell in zip(layout.names, cells, strict=False):
            values = reading_of([cell]).values.values() if sums.get(name) else ()
            if any(math.isclose(value, sums[name], rel_tol=1e-3) for (value,) in values):
                footers.insert(0, words[0])
                break
        else:
            cleaned = _read_rows(layout, width, regime, answers)
    count = f"line{'s' * (len(footers) > 1)}"
    notes = [f"the last {count} ({first_few([*map(repr, footers)])}) left out"] if footers else []
    return replace(cleaned, notes=tuple(notes))


def _is_note(cells: Sequence[str]) -> bool:
    """Whether a line has text in its first cell only; a number is a row without other cells."""
    reading = reading_of(cells)
    return len(cells) == 1 and (reading.kind != "numbers" or bool(reading.unit))


def _is_total(cell: str) -> bool:
    return cell.rstrip(":").casefold() in TOTALS


def _last_line(rows: str, separator: str) -> tuple[str, list[str]]:
    """Rows before the last line, and the cells of this; none if it may continue a quoted cell."""
    start = max(len(rows) - MAX_LINE, 0)
    stripped = rows[start:].rstrip(f"\n {separator}")
    end = stripped.rfind("\n") + 1
    line = stripped[end:]
    cells = next(csv.reader([line], delimiter=separator), []) if line.count('"') % 2 == 0 else []
    return rows[: start + end], [cell.strip() for cell in cells]


def _read_rows(
    layout: _Layout,
    width: int,
    regime: str | None,
    answers: Mapping[str, Any],
    used: Sequence[str] = (),
) -> Cleaned:
    """Read rows by pandas, and columns that it does not read as plain numbers from their texts.

    All columns, unless only some are ``used``.
    """
    names, separator = used or layout.names, layout.separator
    # Lines may end with separators.
    padded = [*layout.names, *(f"Unnamed: {j}" for j in range(len(layout.names), width))]
    header = separator.join('"' + name.replace('"', '""') + '"' for name in padded)

    # pandas reads bytes faster than text.
    file = io.BytesIO(f"{header}\n{layout.rows}".encode())

    def parsed(**settings: Any) -> pd.DataFrame:
        file.seek(0)
        with warnings.catch_warnings():
            # Columns of numbers and text are read again.
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            return pd.read_csv(
                file, sep=separator, keep_default_na=False, index_col=False,
                **{"usecols": list(names), **settings},
            )  # fmt: skip

    # In the column of regimes, where an action may be called "NA", only empty cells are missing.
    cells = answers.get("cells") or ()
    markers = [text for text in MISSING if text not in cells]
    absent = {name: [""] if name == regime else markers for name in names}
    frame = parsed(dtype={regime: str} if regime in names else None, na_values=absent)
    if not used:
        last = frame.last_valid_index()
        frame = frame.iloc[: 0 if last is None else int(last) + 1]
    sample = parsed(dtype=str, nrows=SAMPLE_ROWS)
    doubts = {n: _doubt(frame[n], sample[n]) for n in names if n != regime and len(frame)}
    codes = {text: float(text) for text in cells if PLAIN_NUMBER.fullmatch(text)}
    doubtful = [n for n, own in doubts.items() if own or frame[n].isin(codes.values()).any()]
    texts = (parsed(dtype=str, usecols=doubtful) if doubtful else frame[[]]).iloc[: len(frame)]
    for text, value in codes.items():
        texts = texts.mask(frame[doubtful] == value, text)
    converted, read = read_columns(
        dict(texts.items()),
        evidence={"."} if False in doubts.values() else (),
        convention=CONVENTIONS.get(separator, ()),
        **answers,
    )
    frame = pd.DataFrame({name: converted.get(name, frame[name]) for name in names})
    columns = {column.name: column for column in read}
    table = nw.from_native(frame, eager_only=True)
    return Cleaned(
        frame, [columns.get(name) or plain_column(name, table[name], regime) for name in names]
    )


def _doubt(column: pd.Series, sample: pd.Series) -> bool | None:
    """Whether the texts of a column may be something else than what pandas read.

    False if they have decimal points; None if nothing speaks for or against decimal points.
    """
    if not pd.api.types.is_float_dtype(column):
        is_numeric = pd.api.types.is_numeric_dtype(column)
        return None if is_numeric and not any(map(PADDED.match, sample.dropna())) else True
    if any("." in text and not THOUSANDS.fullmatch(text.strip()) for text in sample.dropna()):
        return False
    values = column.to_numpy()
    fractions = np.abs(values[np.isfinite(values) & (values != np.floor(values))])
    # pandas reads thousands such as 1.234 as decimals, and large whole numbers beside missing cells
    # without their last digits.
    if not fractions.size:
        return True
    thousands = 1000 * fractions
    are_whole = np.allclose(thousands, thousands.round(), rtol=0, atol=1e-6)
    return bool(are_whole and fractions.min() >= 1 and fractions.max() < 1000)
