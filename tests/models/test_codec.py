import json
from dataclasses import dataclass

import pytest

import bayes_intgen as bi
from bayes_intgen.basis.basis import Constant
from bayes_intgen.models import Model
from bayes_intgen.models.codec import dumps, loads
from bayes_intgen.models.mechanisms.mechanism import SCALE as PRIOR
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal, Mechanism

SCALE = {"kind": "LogNormal", "median": 1, "sigma": 2.0}
PART = {"kind": "Component", "label": "", "basis": {"kind": "Constant", "size": 1}, "scale": SCALE,
        "inputs": [0], "kernel": None, "lengthscale": None}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("label", 3), ("basis", SCALE), ("basis", "Constant"), ("scale", 3.0), ("scale", None),
        ("inputs", 0), ("inputs", [0.0]), ("inputs", ["0"]), ("kernel", "unknown"), ("kernel", 1),
        ("kernel", []), ("lengthscale", PART["basis"]),
    ],
)  # fmt: skip
def test_fields_of_other_types_are_refused(field, value) -> None:
    assert loads(json.dumps(PART)) == Component("", Constant(), LogNormal(1, 2.0))
    with pytest.raises(bi.SavedFitError, match=f"Component with an invalid {field}"):
        loads(json.dumps(PART | {field: value}))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '{"kind": "mapping", "items": ' * 20_000, '{"kind": ["GP"]}', "{", "{}",
        '{"kind": "LogNormal", "median": 1e999, "sigma": 1}',
        '{"kind": "LogNormal", "median": true, "sigma": 1}',
        '{"kind": "LogNormal", "median": NaN, "sigma": 1}',
        '{"kind": "array", "shape": [2], "values": [1]}',
        '{"kind": "array", "shape": ["x"], "values": [1]}',
        '{"kind": "array", "shape": [1], "values": [[1], [1, 2]]}',
        '{"kind": "array", "shape": [1], "values": [%s]}' % ("9" * 400),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text) -> None:
    with pytest.raises(bi.SavedFitError):
        loads(text)


def test_value_of_another_class_is_refused() -> None:
    text = dumps(bi.models.additive("linear"))
    assert loads(text, Model) == bi.models.additive("linear")
    for other in ("3", "null", json.dumps(SCALE)):
        with pytest.raises(bi.SavedFitError, match="in a wrong place"):
            loads(other, Model)


@dataclass(frozen=True)
class Flat(Mechanism):
    scale: LogNormal = PRIOR

    def marginal_basis(self, column, size):
        return Constant()


def test_priors_of_users_are_saved_by_their_fields_and_read_where_they_are_defined() -> None:
    model = bi.models.additive(Flat(LogNormal(2.0, 1.0)))
    assert loads(dumps(model), Model) == model
    with pytest.raises(bi.SavedFitError, match="unknown kind 'Round'"):
        loads(dumps(model).replace("Flat", "Round"), Model)
    with pytest.raises(bi.ModelError, match="scale"):
        Flat(scale=0.5)
