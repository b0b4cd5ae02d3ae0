import pytest

import bayes_intgen as bi
from bayes_intgen.cli import parsing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tv", "not name=value"),
        ("=2", "not name=value"),
        ("tv=1,tv=2", "two values"),
        (" ", "sets nothing"),
        ("{tv: 1}", "starts like JSON"),
        ('{"tv": [1]}', "neither a number nor a level"),
        ('{"tv": null}', "neither a number nor a level"),
    ],
)
def test_malformed_points_are_rejected(text, message) -> None:
    with pytest.raises(bi.PointsError, match=message):
        parsing.parse_point(text)


def test_names_may_contain_separators() -> None:
    assert parsing.parse_point("a=b=2") == {"a=b": "2"}
    assert parsing.parse_names(["a,b", "c, d"], whole=["c, d"]) == ["a", "b", "c, d"]


@pytest.mark.parametrize("texts", [["red"], ["=red"], ["green=red", "green=blue"], ["none", "a"]])
def test_malformed_graphs_are_rejected(texts) -> None:
    with pytest.raises(bi.ModelError):
        parsing.parse_graph(texts)


def test_graphs_given_unknown_and_any() -> None:
    assert parsing.parse_graph(["green=red, blue", "blue=?"]) == {
        "green": ("red", "blue"),
        "blue": None,
    }
    assert parsing.parse_graph(["none"]) == {}
    assert parsing.parse_graph(["any"]) == "any"
    assert parsing.parse_graph([]) is None
    with pytest.raises(bi.ModelError):
        parsing.parse_graph(["any", "green=red"])
