"""Truth and confounding of every simulator built on :class:`Confounded`."""

import numpy as np
import pytest
from scipy.special import expit

import bayes_intgen as bi
from bayes_intgen.simulators import (
    Binary,
    Counts,
    FewDoses,
    Ordered,
    Steep,
    Stepped,
    UniformDesign,
    ZeroInflated,
)
from bayes_intgen.simulators.confounded import Confounded, log_odds_for
from bayes_intgen.simulators.stepped import SHAPES

from simulator_checks import outcomes_under_do

MODELS = {
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
def test_joint_effect_is_the_mean_outcome_under_do(model: Confounded) -> None:
    rng = np.random.default_rng(0)
    rows = 100_000
    points, _ = model.sample(model.names, 3, rng)
    for point, mean in zip(points, model.joint_effect(points), strict=True):
        outcome = outcomes_under_do(model, point, rows, rng)
        assert abs(outcome.mean() - mean) < 4.5 * outcome.std() / np.sqrt(rows)


@each_model
def test_naive_regression_of_observed_rows_is_wrong(model: Confounded) -> None:
    rows = 100_000
    rng = np.random.default_rng(0)

    def bias(regime: tuple[str, ...]) -> float:
        """Largest z over actions: slopes of the outcome less those of the joint effect."""
        actions, outcome = model.sample(regime, rows, rng)
        design = np.column_stack([np.ones(rows), (actions - actions.mean(0)) / actions.std(0)])
        residual = outcome - model.joint_effect(actions)
        slopes, (residual, *_), *_ = np.linalg.lstsq(design, residual, rcond=None)
        error = np.sqrt(residual / rows * np.diag(np.linalg.inv(design.T @ design)))
        return float(np.abs(slopes / error)[1:].max())

    assert bias(()) > 20
    # Control: with all actions set the same regression is right.
    assert bias(model.names) < 4.5


@pytest.mark.parametrize("kind", [Binary, Ordered, Counts, UniformDesign, FewDoses, ZeroInflated])
def test_edges_are_strong_in_half_of_the_worlds(kind: type[Confounded]) -> None:
    largest = [np.abs(kind.random(3, seed).hidden.between).max() for seed in range(60)]
    with_edges = np.array(largest)[np.array(largest) > 0]
    assert len(with_edges) > 40
    strong = with_edges > 1.5 * with_edges.min() * 1.25
    assert 0.3 < strong.mean() < 0.75


def test_log_odds_give_about_the_share() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    for share in (0.05, 0.4, 0.9):
        for sd in (0.5, 2.0):
            level = log_odds_for(np.array(share), np.array(sd))
            mean = (expit(level + sd * nodes) * weights).sum() / weights.sum()
            assert mean == pytest.approx(share, abs=0.02)


def test_bad_options_raise_informative_errors() -> None:
    binary, ordered = MODELS["binary"], MODELS["3 levels"]
    for call, message in [
        (lambda: Binary.random(2, 0, share=(0.5, 0.2)), "share must be a range"),
        (lambda: Ordered.random(2, 0, levels=1), "at least 2, not 1"),
        (lambda: FewDoses.random(2, 0, doses=1), "at least 2, not 1"),
        (lambda: Stepped.random(2, 0, shape="wavy"), "unknown shape 'wavy'"),
        (lambda: binary.joint_effect([[0, 1, 0.5]]), "'a3' has the levels 0 to 1, not 0.5"),
        (lambda: ordered.joint_effect([[3, 1, 1]]), "'a1' has the levels 0 to 2, not 3"),
    ]:
        with pytest.raises(bi.ModelError, match=message):
            call()
