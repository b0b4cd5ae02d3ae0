import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.data.regime_labels import LabelReader

NAMES = ["red", "Green", "a+b", "spend, online", "f(x)"]


LABELS = {
    ("red",): ("red", "RED", "do(red)", "Do( Red )"),
    ("Green",): (" green ",),
    ("red", "Green"): ("do(red, green)", "do(red)+do(green)", "red, green", "red+green"),
    ("a+b",): ("a+b", "do(a+b)"),
    ("spend, online",): ("spend, online",),
    ("red", "spend, online"): ("red + Spend, Online",),
    ("f(x)",): ("do(f(x))",),
    ("f(x)", "red"): ("do(f(x))+red",),
    (): ("Observational", "do()", ""),
}


@pytest.mark.parametrize(("actions", "labels"), LABELS.items())
def test_labels_are_read_regardless_of_case_and_style(actions, labels) -> None:
    for label in labels:
        assert LabelReader(NAMES).actions(label) == actions


def read(label: str, names: list[str]) -> bi.RegimeData:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(30, len(names))), columns=names)
    frame = frame.assign(y=rng.normal(size=30), kind=[label, None] * 15)
    return bi.RegimeData.from_frame(frame, names, "y", "kind")


def test_case_counts_where_names_differ_by_case_only() -> None:
    assert read("TV", ["tv", "TV"]).intervened[0].tolist() == [False, True]
    with pytest.raises(bi.DataError, match="unknown action 'Tv'; did you mean"):
        read("Tv", ["tv", "TV"])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("rad", r"label 'rad' in row 0: unknown action 'rad'; did you mean 'red'\?"),
        ("red, gren", r"label 'red, gren' in row 0: unknown action 'gren'; did you mean 'green'\?"),
        ("Red geo test", r"unknown action 'Red geo test'; did you mean 'red'\?"),
        ("observatonal", r"'observatonal' in row 0; did you mean 'observational'\?"),
        ("control", "unknown action 'control'; .* in observational rows the label must be empty"),
        ("red, observational", "unknown action 'observational'|did you mean 'observational'"),
    ],
)
def test_near_misses_are_suggested(label, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        read(label, ["red", "green"])


@pytest.mark.parametrize("label", [["red", "green"], ("red", "green"), np.array(["red", "green"])])
def test_cells_of_several_labels_are_named(label) -> None:
    frame = pd.DataFrame({"red": [0.0, 1.0], "green": [1.0, 0.0], "y": [0.0, 1.0]})
    frame["kind"] = [label, label]
    with pytest.raises(bi.DataError, match=r"label [\"'].*red.*green.* in row 0"):
        bi.RegimeData.from_frame(frame, ["red", "green"], "y", "kind")


def test_missing_column_of_labels_is_explained() -> None:
    frame = pd.DataFrame({"x": [1.0], "y": [1.0], "Regime": [""]})
    message = "no column 'regime' for the regime labels; did you mean 'Regime'"
    with pytest.raises(bi.DataError, match=message):
        bi.RegimeData.from_frame(frame, ["x"], "y", "regime")


@pytest.mark.parametrize("name", ["Observational", "red+green", "red, green"])
def test_ambiguous_names_are_refused(name) -> None:
    with pytest.raises(bi.DataError, match="cannot be called"):
        read("", ["red", "green", name])
