import json

import numpy as np

import bayes_intgen as bi
from bayes_intgen.overview import overview


def test_an_overview_says_what_is_there(data) -> None:
    found = overview(data)
    assert found.regimes == {"observational": 300, "do(red)": 300, "do(green)": 300}
    assert found.identified
    assert found.problems == []
    assert json.loads(found.to_json())["actions"][0]["state"] == "set alone"
    assert "do(red) + do(green) - observational" in str(found)
    assert overview(data.only([], ["red"])).problems[0].startswith("the joint effect is not")


def test_problems_are_found() -> None:
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False], [False, True]], [60, 60, 5], axis=0)
    coin = rng.integers(0, 2, size=125).astype(float)
    wide = rng.normal(size=125) + 20 * intervened[:, 0]
    actions = np.stack([wide, coin], axis=1)
    data = bi.RegimeData.from_arrays(actions, rng.normal(size=125), intervened, ["wide", "coin"])
    text = "\n".join(overview(data).problems)
    assert "do(coin) has 5 rows only" in text
    # The observed coin is seen wherever it was set.
    assert "coin: " not in text
    assert "coin has 2 distinct values" in text
    assert "wide: 100% of the values to which it was set do not support the joint effect" in text
    same = np.stack([wide, wide * 2], axis=1)
    data = bi.RegimeData.from_arrays(same, rng.normal(size=125), intervened, ["one", "two"])
    assert any("one and two all but coincide" in problem for problem in overview(data).problems)


def test_an_experiment_at_one_value_is_said_to_hold_there_only(data) -> None:
    red = np.where(data.intervened[:, 0], 0.5, data.actions[:, 0])
    actions = np.stack([red, data.actions[:, 1]], axis=1)
    fixed = bi.RegimeData.from_arrays(actions, data.outcome, data.intervened, data.names)
    assert "at red = 0.5 only" in overview(fixed).certificate
