"""Gains of plans that were chosen as the best of many, against the truth and against contrasts."""

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

NAMES = ["tv", "radio", "search", "mail"]
EQUAL = dict.fromkeys(NAMES, 1.5)
DECISION = bi.Decision(cost=dict.fromkeys(NAMES, 1.0), budget=6.0, baseline=EQUAL)


def fitted(seed: int, weights: list[float]) -> bi.Posterior:
    """A fit to a history and an experiment on each of four channels with diminishing returns."""
    rng, frames = np.random.default_rng(seed), []
    for regime in ["", *NAMES]:
        size = 500 if regime == "" else 120
        causes = rng.normal(size=(size, 4))
        spend = np.maximum(0, 2 + 0.7 * causes + 0.5 * rng.normal(size=(size, 4)))
        if regime:
            spend[:, NAMES.index(regime)] = rng.uniform(0, 4, size)
        sales = np.log1p(spend) @ weights + 0.4 * causes.sum(axis=1) + 0.3 * rng.normal(size=size)
        frames.append(pd.DataFrame(spend, columns=NAMES).assign(sales=sales, regime=regime))
    data = bi.RegimeData.from_frame(pd.concat(frames), NAMES, "sales", "regime")
    model = bi.models.additive(graph={})
    return bi.fit(data, model, method="laplace", draws=100, seed=seed, progress=False)


@pytest.fixture(scope="module")
def equal() -> list[bi.Posterior]:
    """Fits to worlds in which the equal split is the best plan."""
    return [fitted(seed, [1.0] * 4) for seed in range(8)]


@pytest.fixture(scope="module")
def unequal() -> bi.Posterior:
    return fitted(1, [1.8, 1.0, 0.6, 0.3])


def test_gains_of_chosen_plans_come_true(equal) -> None:
    excess, uncorrected = [], []
    for posterior in equal:
        plan = posterior.best(bi.Decision(DECISION.cost, 6.0, baseline={**EQUAL, "tv": 0.5}))
        spend = [np.array([*point.values()]) for point in (plan.point, plan.baseline)]
        true = float(np.diff([np.log1p(own).sum() for own in spend[::-1]])[0])
        sd = float(plan.gain.std())
        excess.append((float(plan.gain.mean()) - true) / sd)
        uncorrected.append(excess[-1] + plan.optimism / sd)
    error = np.std(uncorrected) / np.sqrt(len(equal))
    assert abs(np.mean(excess)) < 3 * error
    # Negative control: plans are overrated before the correction.
    assert np.mean(uncorrected) > 2 * error


def test_the_best_of_plans_is_not_moved_for_noise(equal) -> None:
    """In most worlds the equal split, which is the optimum, stays, for a target too."""
    plans = [posterior.best(DECISION) for posterior in equal]
    assert np.mean([plan.point == plan.baseline for plan in plans]) > 0.5
    kept = next(plan for plan in plans if plan.point == plan.baseline)
    assert (kept.gain == 0).all()
    assert kept.probability_better == 0
    assert float(kept.regret.mean()) > 0
    assert equal[7].cheapest(DECISION, 3.3, bi.Quantile(0.05)).point == EQUAL
    # A smaller budget excludes the baseline.
    moved = [fit.best(bi.Decision(DECISION.cost, 5.5, baseline=EQUAL)) for fit in equal[:2]]
    assert all(plan.point != plan.baseline for plan in moved)


def test_a_correction_belongs_to_the_plan(unequal) -> None:
    plan = unequal.best(DECISION)
    assert plan.optimism > 0
    change = unequal.contrast(plan.point, plan.baseline).isel(point=0)
    assert float(plan.gain.mean()) == pytest.approx(float(change.mean()) - plan.optimism)
    # It is no more certain than that of a plan that was not chosen.
    assert float(plan.gain.std()) >= float(change.std()) * (1 - 1e-9)
    start = unequal.joint_effect(plan.baseline).isel(point=0)
    np.testing.assert_allclose(plan.effect, start + plan.gain)
    assert plan.value == pytest.approx(float(np.quantile(plan.gain, 0.05)))
    assert plan.probability_better == float((plan.gain > 0).mean())
    assert "before a correction for choosing the best" in str(plan)
    row = unequal.frontier(DECISION, [6.0]).isel(budget=0)
    assert float(row.gain) == pytest.approx(float(plan.gain.mean()), rel=0.05)
    # With fewer choices there is less to overrate.
    single = unequal.best(bi.Decision(bounds=dict.fromkeys(NAMES[1:], 1.5), baseline=EQUAL))
    assert single.optimism / float(single.gain.std()) < plan.optimism / float(plan.gain.std())


def test_a_target_is_reached_after_the_correction(unequal) -> None:
    best = unequal.best(DECISION, "mean")
    target = float(best.effect.mean()) - 0.2
    plan = unequal.cheapest(DECISION, target)
    # The optimism of neighbouring budgets differs by chance.
    assert float(plan.effect.mean()) == pytest.approx(target, abs=0.1 * float(plan.gain.std()))
    assert plan.cost < best.cost
