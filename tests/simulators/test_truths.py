"""Joint effects and confounding that simulators state, against rows that they sample."""

import numpy as np
import pytest
from _study_worlds import SHAPES, FewDoses, Steep, Stepped, UniformDesign

import bayes_intgen as bi
from bayes_intgen.simulators import (
    Binary,
    Counts,
    DoseResponse,
    Linear,
    MediaMix,
    Ordered,
    Polynomial,
    StructuralCausalModel,
    ZeroInflated,
)

from simulator_checks import outcomes_under_do

MODELS: dict[str, StructuralCausalModel] = {
    "linear": Linear.random(3, seed=3),
    "polynomial": Polynomial.random(3, seed=2),
    "media mix": MediaMix.random(3, seed=1),
    "dose response": DoseResponse.random(3, seed=1),
    "binary": Binary.random(3, seed=3),
    "rare binary": Binary.random(3, seed=2, share=(0.05, 0.1)),
    "3 levels": Ordered.random(3, seed=3),
    "5 unordered levels": Ordered.random(3, seed=1, levels=5, monotone=False),
    "counts": Counts.random(3, seed=3),
    "uniform": UniformDesign.random(3, seed=3),
    "two points": FewDoses.random(3, seed=1, doses=2),
    "zeros": ZeroInflated.random(3, seed=3),
    "emax with zeros": Steep.random(3, seed=1),
    "hill without zeros": Steep.random(3, seed=2, hill=True),
    **{shape: Stepped.random(3, seed=3, shape=shape) for shape in SHAPES},
}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@each_model
def test_joint_effect_is_the_mean_outcome_under_do(model: StructuralCausalModel) -> None:
    rng, rows = np.random.default_rng(0), 100_000
    points, _ = model.sample(model.names, 3, rng)
    for point, mean in zip(points, model.joint_effect(points), strict=True):
        outcome = outcomes_under_do(model, point, rows, rng)
        assert abs(outcome.mean() - mean) < 4.5 * outcome.std() / np.sqrt(rows)


@each_model
def test_only_confounding_makes_a_regression_wrong(model: StructuralCausalModel) -> None:
    rng, rows = np.random.default_rng(0), 100_000

    def bias(regime: tuple[str, ...]) -> float:
        """Largest score over actions of the correlation with the outcome less its joint effect."""
        actions, outcome = model.sample(regime, rows, rng)
        residual = outcome - model.joint_effect(actions)
        standard = (actions - actions.mean(axis=0)) / actions.std(axis=0)
        products = standard * (residual - residual.mean())[:, None]
        return float(np.abs(products.mean(axis=0) / products.std(axis=0)).max() * np.sqrt(rows))

    assert bias(()) > 10
    # Control: with all actions set the same regression is right.
    assert bias(model.names) < 4.5


def test_datasets_have_the_requested_rows_of_each_regime_and_a_seed_gives_one() -> None:
    model = MediaMix.random(3, seed=0)
    counts = {(): 40, ("tv",): 10, ("search", "radio"): 5}
    masks = [(False, False, False), (True, False, False), (False, True, True)]
    assert model.dataset(counts, seed=0).regimes == dict(zip(masks, (40, 10, 5), strict=True))
    some = model.dataset(7, seed=0, regimes=[(), ["radio", "search"]])
    assert some.regimes == {masks[0]: 7, masks[2]: 7}
    same = model.dataset(dict.fromkeys([(), ("tv",), ("radio",), ("search",)], 10), seed=4)
    np.testing.assert_array_equal(same.outcome, model.dataset(10, seed=4).outcome)


BINARY, ORDERED, MEDIA = MODELS["binary"], MODELS["3 levels"], MediaMix.random(2, seed=0)
POINT = [[1.0, 2.0]]
BAD = [
    (lambda: MEDIA.dataset(0, seed=0), "rows of observational must be .* at least 1, not 0"),
    (lambda: MEDIA.dataset({("tv",): 1.5}, seed=0), r"rows of do\(tv\) .* not 1.5"),
    (lambda: MEDIA.dataset(9, 0, ["tv"]), r"write \['tv'\]"),
    (lambda: MEDIA.dataset({("x",): 9}, 0), "unknown action 'x'"),
    (lambda: MEDIA.dataset(30, 0, []), "no regimes"),
    (lambda: MEDIA.dataset({("tv",): 9}, 0, [()]), "rows name the regimes already"),
    (lambda: MEDIA.joint_effect([[1.0, 2.0, 3.0]]), "'tv', 'radio'"),
    (lambda: MEDIA.joint_effect([[1.0], [1.0, 2.0]]), "one column for each of"),
    (lambda: MediaMix.random(0, seed=0), "at least one action"),
    (lambda: Binary.random(2, 0, share=(0.5, 0.2)), "share must be a range"),
    (lambda: Ordered.random(2, 0, levels=1), "at least 2, not 1"),
    (lambda: FewDoses.random(2, 0, doses=1), "at least 2, not 1"),
    (lambda: Stepped.random(2, 0, shape="wavy"), "unknown shape 'wavy'"),
    (lambda: BINARY.joint_effect([[0, 1, 0.5]]), "'a3' has the levels 0 to 1, not 0.5"),
    (lambda: ORDERED.joint_effect([[3, 1, 1]]), "'a1' has the levels 0 to 2, not 3"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_refused(call, message) -> None:
    with pytest.raises(bi.BayesIntgenError, match=message):
        call()
