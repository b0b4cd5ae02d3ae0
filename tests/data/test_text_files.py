"""Text files as people have them: from a messy file to the table that it holds."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.data.files import read_table

ROWS = {"Region": ["North", "South", "South"], "TV": [1.5, 2.0, 3.25], "Sales": [10, 20, 40],
        "Test": ["tv", "", "tv"]}  # fmt: skip
LINES = ["North;1,5;10;tv", "South;2;20;", "South;3,25;40;tv"]
NAMES, TOTAL = "Region;TV;Sales;Test", "Total:;6,75;70;"


def lines(*before: str, rows=LINES, after=()) -> bytes:
    return "\n".join([*before, *rows, *after]).encode()


MESSY = {
    "plain": (b"Region,TV,Sales,Test\nNorth,1.5,10,tv\nSouth,2.0,20,\nSouth,3.25,40,tv\n", ""),
    "zero in front": (lines(NAMES).replace(b";10;", b";010;"), "; 'Sales': '010' read as 10"),
    "semicolons": (lines(NAMES), "'TV': '1,5' read as 1.5"),
    "Windows": (lines(NAMES).replace(b"\n", b"\r\n"), "'TV': '1,5' read as 1.5"),
    "UTF-16": (lines(NAMES).decode().encode("utf-16"), "'TV': '1,5' read as 1.5"),
    "mark of Excel": (lines("sep=;", NAMES), "'TV': '1,5' read as 1.5"),
    "separators at the ends": (lines(NAMES, rows=[f"{line};" for line in LINES]), "'TV': '1,5'"),
    "empty rows": (lines("", NAMES, after=[";;;", ";;;", ""]), "'TV': '1,5' read as 1.5"),
    "titles": (
        lines("Report;;;", "Created:;01.02.2024;;", ";;;", NAMES),
        "lines 1 ('Report') and 2 ('Created:') left out; 'TV': '1,5'",
    ),
    "short titles": (lines("Report", "Created: 2024", "", NAMES), "lines 1 ('Report') and 2 ("),
    "groups": (lines(";Spend;Result;", NAMES), "line 1 ('Spend') left out; 'TV'"),
    "units": (lines(NAMES, ";kEUR;pcs;"), "line 2 ('kEUR') left out; 'TV'"),
    "totals": (lines(NAMES, after=[TOTAL]), "; the last line ('Total:') left out; 'TV'"),
    "footers": (
        lines(NAMES, after=[TOTAL, '"3 ""shops"""', ";;;", "01.02.2024;;;"]),
        "; the last lines ('Total:', '3 \"shops\"', '01.02.2024') left out; 'TV'",
    ),
    "names again": (
        lines(NAMES, rows=[LINES[0], NAMES, *LINES[1:]]),
        "1 line with the names again left out",
    ),
    "blanks around names": (lines(" Region ; TV;Sales;Test "), "'TV': '1,5' read as 1.5"),
}


@pytest.mark.parametrize(("content", "said"), MESSY.values(), ids=MESSY)
def test_messy_files_hold_the_same_rows(tmp_path, run, content, said) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = read_table(path, "Test").to_native()
    expected = pd.DataFrame(ROWS)
    pd.testing.assert_frame_equal(frame.fillna({"Test": ""}), expected, check_dtype=False)
    message = "".join(str(warning.message) for warning in caught)
    assert message.startswith(f"{path}: " if said else "")
    assert said.removeprefix("; ") in message
    for name in ("clean.parquet", "clean.csv"):
        shown = run("clean", path, "-o", tmp_path / name, "-r", "Test").out
        # Nothing is left to say about a clean file.
        again = read_table(tmp_path / name, "Test").to_pandas()
        pd.testing.assert_frame_equal(again.fillna({"Test": ""}), expected, check_dtype=False)
    for part in said.split("; ")[:-1]:
        assert part.strip().casefold() in shown.casefold()


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        (";Spend;;Clicks;", "Region;TV;Radio;TV;Radio",
         ["Region", "Spend TV", "Spend Radio", "Clicks TV", "Clicks Radio"]),
        ("Region;Spend;;Clicks;Sales", ";TV;Radio;;",
         ["Region", "Spend TV", "Spend Radio", "Clicks", "Sales"]),
        ("Region;TV;TV;Radio;Radio", ";EUR;GRP;EUR;GRP",
         ["Region", "TV EUR", "TV GRP", "Radio EUR", "Radio GRP"]),
    ],
)  # fmt: skip
def test_two_lines_name_columns_together(tmp_path, first, second, names) -> None:
    (tmp_path / "rows.csv").write_text("\n".join([first, second, *["A;1;2;3;4", "B;2;3;4;5"] * 3]))
    with pytest.warns(bi.DataWarning, match=r"columns such as '\w+ \w+' are named by 2 lines"):
        assert read_table(tmp_path / "rows.csv").columns == names


def test_names_and_numbers_with_commas_are_separated_by_semicolons(tmp_path) -> None:
    rows = [f"{k};{k + 1},25;{k + 2},1" for k in range(20)]
    (tmp_path / "rows.csv").write_text("\n".join(["spend, tv;spend, radio;sales", *rows]))
    with pytest.warns(bi.DataWarning, match="'1,25' read as 1.25"):
        frame = read_table(tmp_path / "rows.csv")
    assert frame.columns == ["spend, tv", "spend, radio", "sales"]


def test_rows_that_resemble_a_header_or_totals_are_rows(tmp_path) -> None:
    # A first row without numbers, an unnamed index, and a region called Total.
    text = ",tv,sales,regime\nNorth,NA,,tv\nSouth,1,5,\nEast,2,6,tv\nTotal,4,12,\n"
    (tmp_path / "rows.csv").write_text(text)
    frame = read_table(tmp_path / "rows.csv", "regime").to_native()
    assert frame.columns.tolist() == ["Unnamed: 0", "tv", "sales", "regime"]
    assert frame["sales"].fillna(0).tolist() == [0, 5, 6, 12]


@pytest.mark.parametrize(
    "text",
    ['x,tv,note\n1,2,"a\nb"\n2,3,"c\nd"', "x,tv,note\n" + "\n".join(f"{i},," for i in range(9))],
)
def test_last_rows_that_resemble_footers_are_rows(tmp_path, text) -> None:
    # Lines of one cell in quotation marks, and rows with nothing but an id.
    path = tmp_path / "rows.csv"
    path.write_text(text)
    assert read_table(path)["x"].to_list() == pd.read_csv(path)["x"].tolist()


def test_missing_cells_in_words_do_not_hide_the_header(tmp_path) -> None:
    rows = [*["North;1,5;10"] * 4, *["South;ND;not reported", "South;---;Unknown"] * 3]
    (tmp_path / "rows.csv").write_bytes(lines("Report;;", "Region;TV;Sales", ";EUR;pcs", rows=rows))
    said = "'Sales': 6 cells such as 'not reported', 'Unknown' as"
    with pytest.warns(bi.DataWarning, match=said):
        frame = read_table(tmp_path / "rows.csv").to_native()
    assert frame.columns.tolist() == ["Region", "TV", "Sales"]
    assert frame["Sales"].dropna().tolist() == [10] * 4


def test_windows_text_is_read_and_said(tmp_path) -> None:
    (tmp_path / "rows.csv").write_bytes("Größe;x\nklein;1\ngroß;2\n".encode("cp1252"))
    with pytest.warns(bi.DataWarning, match="rows.csv: read as Windows-1252, not UTF-8$"):
        assert read_table(tmp_path / "rows.csv")["Größe"].to_list() == ["klein", "groß"]


def test_nothing_is_written_before_a_choice(tmp_path, run) -> None:
    text = "day\tx\tz\n1/2/2024\t1.234\t5.678\n3/4/2024\t2.345\t9.123\n"
    (tmp_path / "rows.txt").write_text(text)
    command = ["clean", tmp_path / "rows.txt", "-o", tmp_path / "clean.csv"]
    refused = run(*command, code=1).err
    assert refused.splitlines() == [
        "error: nothing is written before a choice: 'day': '1/2/2024' may be 2024-02-01 (--dates "
        "day) or 2024-01-02 (--dates month); 'x' (and 1 more): '1.234' may be 1234 "
        "(--decimal comma) or 1.234 (--decimal point)"
    ]
    assert "'z'" not in refused
    assert not (tmp_path / "clean.csv").exists()
    run(*command, "--decimal", "comma", code=1)
    shown = run(*command, "--decimal", "comma", "--dates", "month").out
    assert "3/4/2024 → 2024-03-04" in shown
    assert (tmp_path / "clean.csv").read_text() == (
        "day,x,z\n2024-01-02,1234,5678\n2024-03-04,2345,9123\n"
    )
    assert "must end with .parquet or .csv" in run(*command[:-1], tmp_path / "a.xlsx", code=1).err


def test_text_in_a_role_of_numbers_names_the_command(tmp_path, run) -> None:
    frame = pd.DataFrame({"tv": ["1.234", "5.678", "9.123", "7.25x"] * 9, "y": np.arange(36.0),
                          "regime": ["", "tv"] * 18})  # fmt: skip
    for cells, message in (
        (frame["tv"].iloc[:3].tolist() * 12, "`bayes-intgen clean` converts it: '1.234' may be"),
        (["€13,125", "€800", "€1,000"] * 12, "reads as numbers; `bayes-intgen clean` converts it"),
    ):
        frame.assign(tv=cells).to_parquet(tmp_path / "rows.parquet")
        refused = run("check", tmp_path / "rows.parquet", "-y", "y", "-a", "tv", code=1).err
        assert message in refused
    run("clean", tmp_path / "rows.parquet", "-o", tmp_path / "clean.parquet")
    assert pd.read_parquet(tmp_path / "clean.parquet")["tv"][:3].tolist() == [13125, 800, 1000]
    frame.assign(tv=[[1], [2]] * 18).to_parquet(tmp_path / "rows.parquet")
    refused = run("clean", tmp_path / "rows.parquet", "-o", tmp_path / "clean.csv", code=1).err
    assert "cannot be written as CSV (Unsupported Type:list" in refused


def test_dates_of_a_file_are_covariates_and_groups(tmp_path) -> None:
    days = pd.date_range("2024-01-01", periods=40).strftime("%d/%m/%Y")
    lines = [f"{day};{i % 7},5;{i};{('', 'x')[i % 2]}" for i, day in enumerate(days)]
    (tmp_path / "rows.csv").write_text("\n".join(["day;x;y;regime", *lines]))
    with pytest.warns(bi.DataWarning, match="'day': '31/01/2024' read as 2024-01-31; 'x': '0,5'"):
        rows = bi.read(tmp_path / "rows.csv", ["x"], "y", covariates=["day"])
    np.testing.assert_array_equal(rows.covariates[:, 0], 19723 + np.arange(40))
    # Days up to the twelfth decide nothing.
    (tmp_path / "rows.csv").write_text("\n".join(["day;x;y;regime", *lines[:12] * 3]))
    with pytest.warns(bi.DataWarning, match="'day' stays text: '02/01/2024' may be 2024-01-02"):
        rows = bi.read(tmp_path / "rows.csv", ["x"], "y", groups=["day"])
    assert rows.columns.labels[0][0] == "01/01/2024"
    for source in ("01.01.2024", "2024-01-01"):
        text = "\n".join(["day;x;y;regime", *(f"{source};{line[11:]}" for line in lines[:30]),
                          *(line.replace("/", ".") for line in lines[30:])])  # fmt: skip
        (tmp_path / "rows.csv").write_text(text)
        with pytest.warns(bi.DataWarning, match="'day'"):
            rows = bi.read(tmp_path / "rows.csv", ["x"], "y", groups=["day"])
        assert rows.columns.labels[0][0] == "2024-01-01"


def test_many_columns_are_said_in_two_lines(tmp_path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 200)), columns=[f"v{i}" for i in range(200)])
    texts = frame.map(lambda value: f"{1e4 * value:,.1f} €").add_prefix("text ")
    pd.concat([frame, texts], axis=1).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.warns(bi.DataWarning) as caught:
        read = read_table(tmp_path / "rows.csv").to_native()
    np.testing.assert_allclose(read.to_numpy()[:, 200:], (1e4 * frame).round(1), atol=0.051)
    (shown,) = (str(warning.message) for warning in caught)
    assert "197 more: bi.clean(path) shows all" in shown
    assert len(shown) < 400


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("kind,y\n" + "a,<0.1\n" * 15 + "".join(f"b,{i}\n" for i in range(30)), 45),
        ("regime,y\nbau,low\nbau,3\ntv,4\n", 3),
        (",y\na,<1\nb,2\nc,3\n", 3),
        ("kind,y\nx,n.d.\ny,2\nz,3\n", 3),
    ],
)
def test_rows_whose_numbers_are_texts_are_no_header(text: str, rows: int, tmp_path) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with warnings.catch_warnings(action="ignore", category=bi.DataWarning):
        table = read_table(tmp_path / "rows.csv")
    assert len(table) == rows
    assert table.columns[1] == "y"
