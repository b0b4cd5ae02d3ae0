import re
import warnings

import arviz as az
import numpy as np
import pytest
import xarray as xr
from numpyro.diagnostics import effective_sample_size

from bayes_intgen.assess.diagnostics import Diagnostics
from bayes_intgen.inference.sampling.convergence import TAIL_PROBABILITIES, Convergence, shortfalls

CHAINS, DRAWS = 4, 500
SITE = r"scale\[delta\(red\)\]"


def fit_with(
    shift: float = 0.0, stuck: float = 0.0, diverging: int = 0, deep: int = 0
) -> tuple[xr.DataTree, xr.DataArray]:
    """Draws with problems: chains apart, autocorrelation, divergences, deep trees."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(CHAINS, DRAWS, 2))
    for t in range(1, DRAWS):
        noise[:, t, 1] = stuck * noise[:, t - 1, 1] + np.sqrt(1 - stuck**2) * noise[:, t, 1]
    noise[0, :, 1] += shift
    number = np.arange(CHAINS * DRAWS).reshape(CHAINS, DRAWS)
    statistics = {"diverging": number < diverging, "reached_max_treedepth": number < deep}
    tree = az.from_dict(
        {"posterior": {"scale": noise}, "sample_stats": statistics},
        dims={"scale": ["scale_of"]},
        coords={"scale_of": ["phi(red)", "delta(red)"]},
    )
    effect = {"joint_effect": rng.normal(size=(CHAINS, DRAWS, 3))}
    effects = az.from_dict({"posterior": effect}, dims={"joint_effect": ["point"]})
    return tree, effects["posterior"]["joint_effect"]


def problems(tree: xr.DataTree, effect: xr.DataArray) -> list[str]:
    quantities = tree["posterior"].to_dataset().assign(joint_effect=effect)
    return Diagnostics(quantities, tree["sample_stats"].dataset, None).problems()


def test_good_draws_have_no_problems() -> None:
    assert problems(*fit_with()) == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"diverging": 3}, r"^3 of 2000 draws ended in a divergence.*target_accept"),
        ({"shift": 1.0}, rf"^R-hat is 1\.\d+ for {SITE}.*raise warmup, and fit with draws=1000"),
        ({"stuck": 0.9}, rf"^R-hat is 1\.\d+ for {SITE}.*draws=\d+00"),
        ({"deep": 5}, r"^5 of 2000 draws reached the maximum tree depth"),
    ],
)
def test_each_problem_is_named_with_its_remedy(fault, message) -> None:
    assert re.search(message, problems(*fit_with(**fault))[0])


def test_one_chain_is_not_compared_with_itself() -> None:
    tree, effect = fit_with(stuck=0.9)
    short = tree.isel(chain=[0])
    with warnings.catch_warnings(action="error"):
        (message,) = problems(short, effect.isel(chain=[0]))
    assert re.match(rf"the effective sample size is \d+ for {SITE}.*draws=\d+00", message)


def test_joint_effect_is_checked_too_and_nonfinite_draws_are_reported_first() -> None:
    tree, effect = fit_with()
    effect[0, :, 2] += 1
    assert "joint_effect[2]" in problems(tree, effect)[0]
    tree, effect = fit_with(stuck=0.9)
    effect[0, 0, 0] = np.nan
    assert problems(tree, effect)[0].startswith("draws of joint_effect are not all finite")


@pytest.mark.parametrize("stuck", [-0.9, -0.3, 0.0, 0.4, 0.8])
def test_rhat_and_ess_agree_with_arviz(stuck: float) -> None:
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(CHAINS, 801, 20))
    for t in range(1, draws.shape[1]):
        draws[:, t] = stuck * draws[:, t - 1] + np.sqrt(1 - stuck**2) * draws[:, t]
        # A rejected draw repeats the previous one.
        is_rejected = rng.random(CHAINS) < 0.2
        draws[is_rejected, t] = draws[is_rejected, t - 1]
    draws[0, :, :5] += 0.2
    draws[1, :, 5:10] *= 1.3
    # A transformation that changes moments but not ranks.
    draws **= 5
    dataset = xr.Dataset({"draws": (("chain", "draw", "quantity"), draws)})
    np.testing.assert_allclose(Convergence.of(draws).rhat, az.rhat(dataset)["draws"], rtol=1e-12)
    of_arviz = [az.ess(dataset, method=method)["draws"] for method in ("bulk", "tail")]
    # ArviZ adds half of one more pair at the end of Geyer's sequence.
    own = Convergence.of(draws)
    for one, other in zip((own.ess_bulk, own.ess_tail), of_arviz, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.03)
    np.testing.assert_allclose(Convergence.of(draws).ess, np.minimum(*of_arviz), rtol=0.03)
    halves = np.concatenate([draws[:, :400], draws[:, -400:]])
    of_numpyro = [
        effective_sample_size((halves <= np.quantile(draws, p, axis=(0, 1))).astype(float))
        for p in TAIL_PROBABILITIES
    ]
    np.testing.assert_allclose(own.ess_tail, np.minimum(*of_numpyro), rtol=1e-10)
    other = az.ess(dataset, method="mean")["draws"]
    assert np.abs(Convergence.of(draws).ess / other - 1).max() > 0.03


def test_nearly_constant_quantities_do_not_extend_sampling() -> None:
    draws = np.random.default_rng(4).normal(size=(CHAINS, DRAWS, 3))
    draws[..., 1:] = 1.0
    draws[0, 7, 2] = 2.0
    dataset = xr.Dataset({"draws": (("chain", "draw", "quantity"), draws)})
    for method in ("bulk", "tail"):
        assert (az.ess(dataset, method=method)["draws"][1:] > 0.99 * CHAINS * DRAWS).all()
    assert (Convergence.of(draws).ess[1:] > 0.99 * CHAINS * DRAWS).all()
    assert shortfalls(draws).max() <= 1
    # They do not hide that chains disagree about another quantity.
    apart = draws.copy()
    apart[0, :, 0] += 1
    assert shortfalls(apart).max() > 5
    draws[0, 0, 0] = np.nan
    assert np.isnan(Convergence.of(draws).ess).tolist() == [True, False, False]
