"""What simulators state of effects, confounding and their laws, against rows that they sample."""

import numpy as np
import pytest
from _study_worlds import SHAPES, FewDoses, Shape, Steep, Stepped, UniformDesign

import bayes_intgen as bi
from bayes_intgen._typing import Array
from bayes_intgen.simulators import (
    Binary,
    Counts,
    DoseResponse,
    Interacting,
    Linear,
    MarketingPanel,
    MediaMix,
    Ordered,
    Polynomial,
    RepeatedVisits,
    SharedConfounder,
    ShiftedSupport,
    StructuralCausalModel,
    WeeklyPanel,
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
    model, counts = MediaMix.random(3, seed=0), {(): 40, ("tv",): 10, ("search", "radio"): 5}
    masks = [(False, False, False), (True, False, False), (False, True, True)]
    assert model.dataset(counts, seed=0).regimes == dict(zip(masks, (40, 10, 5), strict=True))
    some = model.dataset(7, seed=0, regimes=[(), ["radio", "search"]])
    assert some.regimes == {masks[0]: 7, masks[2]: 7}
    same = model.dataset(dict.fromkeys([(), ("tv",), ("radio",), ("search",)], 10), seed=4)
    np.testing.assert_array_equal(same.outcome, model.dataset(10, seed=4).outcome)


BINARY, ORDERED, MEDIA = MODELS["binary"], MODELS["3 levels"], MediaMix.random(2, seed=0)
REGIONS = MarketingPanel.random(2, seed=3)
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
    (lambda: Interacting(MEDIA, -1.0), "from 0 up, not -1.0"),
    (lambda: ShiftedSupport(MEDIA, np.nan), "finite"),
    (lambda: Interacting(MEDIA, 1.0, pair=("tv", "tv")), "two different actions"),
    (lambda: Interacting(MEDIA, 1.0, pair=("tv", "x")), "of 'tv', 'radio'"),
    (lambda: Interacting(MediaMix.random(1, seed=0), 1.0), "pair must name two"),
    (lambda: SharedConfounder(MEDIA, 1.0), "below 1"),
    (lambda: RepeatedVisits.random(2, 0, visits=0), "visits must be a whole number of at least 1"),
    (
        lambda: RepeatedVisits.random(2, 0).dataset(0, 0),
        "rows must be a whole number of at least 1",
    ),
    (lambda: MarketingPanel.random(2, 0, regions=2), "regions must be .* at least 3, not 2"),
    (lambda: MarketingPanel.random(2, 0, regions=9.5), "regions must be a whole number"),
    (lambda: WeeklyPanel(REGIONS, hold=0), "hold must be a whole number of at least 1"),
    (lambda: WeeklyPanel(REGIONS, weeks=20), "20 weeks are less than two experiments of 16"),
    (lambda: WeeklyPanel(REGIONS, causes=1.0), "causes must be"),
    (lambda: WeeklyPanel(REGIONS, carryover=(0.5, -0.1)), "carryover must be"),
    (lambda: WeeklyPanel(REGIONS, carryover=(0.5, 0.1, 0.2)), "one rate, or 2 for .* not 3"),
    (lambda: WeeklyPanel(REGIONS, growth=np.nan), "growth must be a finite number"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_refused(call, message) -> None:
    with pytest.raises(bi.BayesIntgenError, match=message):
        call()


def observed_and_set(model: StructuralCausalModel, rows: int) -> tuple[Array, Array]:
    """Actions of observational rows, and of rows in which all are set."""
    rng = np.random.default_rng(0)
    observed, _ = model.sample((), rows, rng)
    return observed, model.sample(model.names, rows, rng)[0]


@pytest.mark.parametrize("share", [(0.3, 0.7), (0.05, 0.1)])
def test_shares_of_ones_lie_in_the_range(share: tuple[float, float]) -> None:
    low, high = share
    for seed in range(5):
        model = Binary.random(3, seed=seed, share=share)
        observed, was_set = observed_and_set(model, 40_000)
        for actions, slack in ((observed, 0.1 * high), (was_set, 4 * np.sqrt(high / 40_000))):
            assert set(np.unique(actions)) == {0.0, 1.0}
            assert (actions.mean(axis=0) > low - slack).all()
            assert (actions.mean(axis=0) < high + slack).all()


def test_actions_are_counts_overdispersed_in_observational_rows() -> None:
    for seed in range(5):
        model = Counts.random(3, seed=seed)
        observed, was_set = observed_and_set(model, 20_000)
        for actions in (observed, was_set):
            np.testing.assert_array_equal(actions, np.maximum(actions.round(), 0))
        # Poisson: variance over mean is one; causes add to it.
        assert (observed.var(axis=0) / observed.mean(axis=0) > 1.2).all()
        np.testing.assert_allclose(was_set.var(axis=0) / was_set.mean(axis=0), 1, atol=0.06)


@pytest.mark.parametrize(("kind", "share"), [(DoseResponse, 0.98), (MediaMix, 0.97)])
def test_experiments_cover_the_observed_range(kind, share: float) -> None:
    for seed in range(5):
        observed, was_set = observed_and_set(kind.random(4, seed=seed), 20_000)
        low, high = np.quantile(was_set, [0.005, 0.995], axis=0)
        assert ((observed > low) & (observed < high)).mean() > share


def test_doses_stay_in_range() -> None:
    for seed in range(5):
        model = DoseResponse.random(4, seed=seed)
        for actions in observed_and_set(model, 20_000):
            assert ((actions > 0) & (actions < model.highest)).all()


def test_observational_means_of_media_mixes_are_biased() -> None:
    for seed in range(5):
        model = MediaMix.random(4, seed=seed)
        observed, outcome = model.sample((), 20_000, np.random.default_rng(0))
        design = np.column_stack([np.ones(len(observed)), np.log(observed)])
        both = np.column_stack([outcome, model.joint_effect(observed)])
        naive, causal = np.linalg.lstsq(design, both, rcond=None)[0][1:].T
        assert (naive > causal).all()
        assert naive.mean() > 1.3 * causal.mean()


def test_names_and_effects_at_zero_and_half_spend() -> None:
    model = MediaMix.random(10, seed=0)
    assert model.names[:2] == ("tv", "radio")
    assert model.names[8:] == ("channel9", "channel10")
    assert len(set(model.names)) == 10
    for spend in (0.0, -1.0):
        effect = model.joint_effect(np.full((1, 10), spend))
        assert effect[0] == pytest.approx(model.hidden.level)
    assert (model.saturation(0, model.half_spend[:1]) == 0.5).all()


@pytest.mark.parametrize("levels", [2, 3, 5, 7])
def test_every_level_occurs_and_settings_are_uniform(levels: int) -> None:
    model = Ordered.random(3, seed=0, levels=levels)
    observed, was_set = observed_and_set(model, 20_000)
    every, share = np.arange(levels)[:, None, None], 1 / levels
    assert np.isin(observed, every).all()
    assert (observed == every).mean(axis=1).min() > share / 10
    error = np.sqrt(share * (1 - share) / 20_000)
    assert (np.abs((was_set == every).mean(axis=1) - share) < 4.5 * error).all()


def test_effects_are_monotone_or_free() -> None:
    for seed in range(10):
        steps = np.diff(Ordered.random(3, seed, levels=5).effects, axis=1)
        assert (np.sign(steps) == np.sign(steps[:, :1])).all()
        assert (np.ptp(np.abs(steps), axis=1) > 0.05).all()
        free = np.diff(Ordered.random(3, seed, levels=5, monotone=False).effects, axis=1)
        assert ((free > 0).any() and (free < 0).any()).all()


def curve(shape: Shape, z: np.ndarray) -> np.ndarray:
    """Effect at distance z from the turn, over its size."""
    model = Stepped.random(1, seed=0, shape=shape)
    return model.unconfounded(0, model.turn[0] + z) / model.size[0]


def test_steps_jump_and_sigmoids_rise_sines_repeat_hinges_bend_and_u_shapes_turn() -> None:
    near, far, z = np.array([-1e-4, 1e-4]), np.array([-2.0, 0.0, 2.0]), np.linspace(-1, 1, 21)
    np.testing.assert_array_equal(curve("step", near), [0, 1])
    # The derivative of expit(12 z) at zero is 12 / 4.
    assert np.diff(curve("sigmoid", near))[0] / 2e-4 == pytest.approx(3, rel=1e-4)
    for shape, period in (("sine 1", 1), ("sine 2", 2)):
        np.testing.assert_allclose(curve(shape, z + period), curve(shape, z), atol=1e-12)
        assert np.abs(curve(shape, z + period / 2) - curve(shape, z)).max() > 0.9
    np.testing.assert_allclose(curve("hinge", far), [0, 0, 2], atol=1e-12)
    np.testing.assert_allclose(curve("u", far), [2, 0, 2], atol=1e-12)


def test_a_third_to_two_thirds_of_observed_spend_is_exactly_zero() -> None:
    for seed in range(8):
        model = ZeroInflated.random(3, seed=seed)
        observed, was_set = observed_and_set(model, 20_000)
        zeros = (observed == 0).mean(axis=0)
        assert ((zeros > 0.28) & (zeros < 0.62)).all()
        error = np.sqrt(model.set_pause * (1 - model.set_pause) / 20_000)
        assert (np.abs((was_set == 0).mean(axis=0) - model.set_pause) < 4.5 * error).all()
        assert (observed >= 0).all()
