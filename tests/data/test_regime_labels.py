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
    with pytest.raises(bi.DataError, match=r"labels .*'Tv' in row 0 \(did you mean '(tv|TV)'"):
        read("Tv", ["tv", "TV"])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("rad", "'rad' in row 0 .did you mean 'red'.*labels={'rad': 'red'}"),
        ("red, gren", "'red, gren' in row 0 .did you mean 'red, green'"),
        ("RedGeoTest", "labels={'RedGeoTest': 'red'}"),
        ("Greentest", "labels={'Greentest': 'green'}"),
        ("red & green trial", "labels={'red & green trial': 'red\\+green'}"),
        ("observatonal", "'observatonal' in row 0 .did you mean 'observational'.*: None}"),
        ("control", "'control' in row 0 .did you mean 'observational'.*{'control': None} .None wh"),
        ("none", "'none' in row 0 .did you mean 'observational'.*{'none': None} .None where"),
        ("red, observational", "'red, observational' in row 0 .did you mean 'observational'"),
        ("False", "row 0 .did you mean 'observational'.*; join a column per action .*'red.green'"),
        ("Xmas", "'Xmas' in row 0. Say what they stand for: labels={'Xmas': 'red'}"),
    ],
)
def test_near_misses_are_suggested(label, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        read(label, ["red", "green", "banner"])


@pytest.mark.parametrize("label", [["red", "green"], ("red", "green"), np.array(["red", "green"])])
def test_cells_of_several_labels_are_named(label) -> None:
    frame = pd.DataFrame({"red": [0.0, 1.0], "green": [1.0, 0.0], "y": [0.0, 1.0]})
    frame["kind"] = [label, label]
    with pytest.raises(bi.DataError, match=r"labels .*[\"'].*red.*green.* in row 0"):
        bi.RegimeData.from_frame(frame, ["red", "green"], "y", "kind")


def test_all_unknown_labels_are_named_at_once() -> None:
    labels = [f"test {i} of red" for i in range(5)]
    frame = pd.DataFrame({"red": np.arange(30.0), "y": np.arange(30.0), "kind": labels * 6})
    message = "'test 0 of red' in row 0 .*'test 2 of red'.*and 2 more"
    with pytest.raises(bi.DataError, match=message):
        bi.RegimeData.from_frame(frame, ["red"], "y", "kind")


def rows_with_own_labels(**labels: object) -> bi.RegimeData:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=["tv", "radio", "y"])
    frame["kind"] = ["TV geo test (spring) ", "Both", "BAU", "radio"] * 10
    return bi.RegimeData.from_frame(frame, ["tv", "radio"], "y", "kind", labels=labels)


def test_labels_stand_for_actions() -> None:
    labels = {"TV geo test (spring)": ["tv"], "Both": "tv+radio", "BAU": None}
    masks = [[True, False], [True, True], [False, False], [False, True]] * 10
    assert rows_with_own_labels(**labels).intervened.tolist() == masks
    # A label that could be read may stand for something else.
    assert not rows_with_own_labels(**labels, radio="").intervened[3].any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"BAUU": None}, "no row has the label 'BAUU'; did you mean 'BAU'"),
        ({"BAU": "tvv"}, "label 'BAU' stands for an unknown action 'tvv'; did you mean 'tv'"),
        ({"BAU": ["tvv"]}, "label 'BAU': unknown action 'tvv'; did you mean 'tv'"),
        ({"BAU": 3}, "labels..BAU.. must be a list of actions"),
        ({"BAU": None}, "'TV geo test .spring. ' in row 0 .did you mean 'tv'.*'Both' in row 1"),
    ],
)
def test_unusable_meanings_of_labels_are_refused(labels, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        rows_with_own_labels(**labels)


def test_missing_column_of_labels_is_explained() -> None:
    frame = pd.DataFrame({"x": [1.0], "y": [1.0], "Regime": [""]})
    message = "no column 'regime' for the regime labels; did you mean 'Regime'"
    with pytest.raises(bi.DataError, match=message):
        bi.RegimeData.from_frame(frame, ["x"], "y", "regime")


@pytest.mark.parametrize("name", ["Observational", "red+green", "red, green"])
def test_ambiguous_names_are_refused(name) -> None:
    with pytest.raises(bi.DataError, match="cannot be called"):
        read("", ["red", "green", name])
