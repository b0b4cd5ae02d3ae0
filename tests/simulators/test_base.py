import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.simulators import (
    DoseResponse,
    Linear,
    MediaMix,
    Polynomial,
    StructuralCausalModel,
)

MODELS = [
    Linear.random(3, seed=3),
    Polynomial.random(3, seed=2),
    MediaMix.random(3, seed=1),
    DoseResponse.random(3, seed=1),
]
IDS = [type(model).__name__ for model in MODELS]
each_model = pytest.mark.parametrize("model", MODELS, ids=IDS)


@each_model
def test_cause_moments(model: StructuralCausalModel) -> None:
    causes = model.draw_causes(400_000, np.random.default_rng(0))
    mean, sd = model.cause_moments
    centred = (causes - mean) / sd
    spread = (centred**2).std(axis=0) / np.sqrt(len(causes))
    assert (np.abs(centred.mean(axis=0)) < 4.5 / np.sqrt(len(causes))).all()
    assert (np.abs((centred**2).mean(axis=0) - 1) < 5 * spread).all()


def test_number_of_rows_may_differ_by_regime() -> None:
    model = MediaMix.random(3, seed=0)
    counts = {(): 40, ("tv",): 10, ("search", "radio"): 5}
    data = model.dataset(counts, seed=0)
    assert data.regimes == {
        (False, False, False): 40,
        (True, False, False): 10,
        (False, True, True): 5,
    }
    some = model.dataset(counts, seed=0, regimes=[(), ["radio", "search"]])
    assert some.regimes == {(False, False, False): 40, (False, True, True): 5}
    same = model.dataset(dict.fromkeys([(), ("tv",), ("radio",), ("search",)], 10), seed=4)
    np.testing.assert_array_equal(same.outcome, model.dataset(10, seed=4).outcome)


def test_bad_input_raises_informative_errors() -> None:
    model = MediaMix.random(2, seed=0)
    for call, message in [
        (lambda: model.dataset(0, seed=0), "observational cannot have 0 rows"),
        (lambda: model.dataset({("tv",): 1.5}, seed=0), r"do\(tv\) cannot have 1.5 rows"),
        (lambda: model.dataset({(): 30}, 0, [(), ("tv",)]), r"do\(tv\) 0 times"),
        (lambda: model.dataset({("tv", "radio"): 9, ("radio", "tv"): 9}, 0), "2 times"),
        (lambda: model.dataset({("x",): 9}, 0), "unknown action 'x'"),
        (lambda: model.dataset(30, 0, []), "no regimes"),
        (lambda: model.dataset(30, 0, ["tv"]), r"write \['tv'\]"),
        (lambda: model.joint_effect([1.0, 2.0]), r"shape \(points, 2\)"),
        (lambda: model.joint_effect([[1.0, 2.0, 3.0]]), r"shape \(points, 2\)"),
        (lambda: model.joint_effect([[1.0], [1.0, 2.0]]), "rectangular"),
        (lambda: model.joint_effect([[1.0, np.nan]]), "NaN"),
        (lambda: MediaMix.random(0, seed=0), "at least one action"),
    ]:
        with pytest.raises(bi.ModelError, match=message):
            call()
