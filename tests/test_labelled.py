import numpy as np
import pandas as pd
import xarray as xr

from bayes_intgen._labelled import labelled_array, labelled_dataset, merged

DATES = pd.date_range("2026-01-01", periods=3, freq="D")


def test_datasets_equal_those_of_xarray() -> None:
    variables = {
        "effect": (("draw", "point"), np.arange(6.0).reshape(2, 3), {"unit": "kg"}),
        "name": ("action", ["a", "b"]),
        "sd": ((), 3.0),
        "draw": ("draw", [0, 1]),
    }
    coords = {
        "point": np.asarray(DATES),
        "action": ["tv", "radio"],
        "red": ("point", [1, 2, 3]),
        "label": ("point", np.array(["x", 1, None], dtype=object)),
    }
    own = labelled_dataset(variables, coords, {"level": 0.9})
    xr.testing.assert_identical(own, xr.Dataset(variables, coords, {"level": 0.9}))
    for name in own.variables:
        assert own[name].dtype == xr.Dataset(variables, coords)[name].dtype
    assert own.sel(action="radio", point=DATES[1])["effect"].values.tolist() == [1.0, 4.0]


def test_arrays_equal_those_of_xarray() -> None:
    coords = {"chain": [0], "draw": np.arange(2), "point": ["a", "b"], "x": ("point", [0.5, 1.5])}
    values = np.arange(4.0).reshape(1, 2, 2)
    dims = ("chain", "draw", "point")
    own = labelled_array("effect", dims, values, coords, {"outcome": "sales"})
    expected = xr.DataArray(values, coords, dims, "effect", {"outcome": "sales"})
    xr.testing.assert_identical(own, expected)


def test_merged_datasets_equal_those_of_xarray() -> None:
    first = labelled_dataset({"a": ("x", [1, 2])}, {"x": [0, 1]}, {"level": 0.9})
    second = labelled_dataset({"b": ("y", [3]), "c": ((), 2.0)}, {"y": DATES[:1]}, {"unit": "kg"})
    own = merged(first, second, xr.Dataset())
    expected = xr.merge([first, second, xr.Dataset()], combine_attrs="override")
    xr.testing.assert_identical(own, expected)
    assert own.sel(y=DATES[0])["b"].item() == 3
