import pytest

import bayes_intgen as bi
from bayes_intgen import queries


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tv", "no name=value"),
        ("=2", "no name=value"),
        ("tv=1,tv=2", "two values"),
        (" ", "sets nothing"),
        ("{tv: 1}", "starts like JSON"),
        ('{"tv": [1]}', "no number and no level"),
        ('{"tv": null}', "no number and no level"),
    ],
)
def test_points_that_are_mistyped_are_refused(text, message) -> None:
    with pytest.raises(bi.PointsError, match=message):
        queries.parse_point(text)


def test_names_may_hold_what_separates_them() -> None:
    assert queries.parse_point("a=b=2") == {"a=b": "2"}
    assert queries.parse_names(["a,b", "c, d"], known=["c, d"]) == ["a", "b", "c, d"]


@pytest.mark.parametrize("texts", [["red"], ["=red"], ["green=red", "green=blue"], ["none", "a"]])
def test_graphs_that_are_mistyped_are_refused(texts) -> None:
    with pytest.raises(bi.ModelError):
        queries.parse_graph(texts)
