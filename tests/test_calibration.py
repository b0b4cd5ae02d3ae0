from collections.abc import Sequence

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from _rows import fitted
from scipy.stats import kstest

import bayes_intgen as bi
from bayes_intgen._random import generator
from bayes_intgen.posterior.draws import prediction_of

from conftest import confounded_rows

pytestmark = pytest.mark.filterwarnings("ignore::bayes_intgen.SamplingWarning")
SHORT = {"chains": 2, "draws": 100, "warmup": 100}
COUNT, ROWS = 60, confounded_rows(15, seed=0)


def ranks(simulations: Sequence[int], **settings) -> xr.DataTree:
    model = bi.models.additive("linear", spread="constant", graph={})
    return bi.calibration.ranks(ROWS, model, simulations=simulations, **settings, **SHORT)


def p_values(tree: xr.DataTree) -> dict[str, float]:
    """Of uniformity, Kolmogorov and Smirnov's test, for quantities without further dims."""
    shares = tree["prior_sbc"].to_dataset().isel(point=0)
    return {
        name: kstest(shares[name].to_numpy().ravel(), "uniform").pvalue
        for name in ("joint_effect", "intercept", "noise_sd")
    }


@pytest.mark.slow
def test_ranks_are_uniform_for_the_right_model_only() -> None:
    """One test, since every process that needs the ranks computes them."""
    right = ranks(range(COUNT))
    assert min(p_values(right).values()) > 1e-3
    # Negative control: a wrong prior of the noise, of which it has half, is seen.
    half = bi.LogNormal(0.05, 0.1)
    wrong = bi.models.additive("linear", spread="constant", graph={}, noise_scale=half)
    assert p_values(ranks(range(COUNT), fitted=wrong))["noise_sd"] < 1e-6
    group = right["prior_sbc"]
    assert group["noise_sd"].dims == ("chain", "draw")
    assert group["noise_sd"].sizes == {"chain": 1, "draw": COUNT}
    assert group["scale"].sizes["scale_of"] == 4
    az.plot_ecdf_pit(right, var_names=["noise_sd"])
    plt.close("all")
    # Simulations can run separately.
    part = ranks([7])["prior_sbc"]
    np.testing.assert_array_equal(part["intercept"], group["intercept"].sel(draw=[7]))


def test_coverage_in_one_world() -> None:
    world = bi.simulators.DoseResponse.random(2, seed=3)
    table = bi.calibration.coverage(world, rows=150, seed=1, points=400, method="laplace")
    assert list(table["of"].values) == ["effect", "change", "outcome"]
    for of in ("effect", "change"):
        assert (np.diff(table["coverage"].sel(of=of)) >= 0).all()
    assert (np.diff(table["width"].to_numpy(), axis=1) > 0).all()
    # 400 outcomes, and intervals from 150 rows a regime: about 2 points each.
    outcome = table["coverage"].sel(of="outcome")
    np.testing.assert_allclose(outcome, bi.calibration.LEVELS, atol=0.1)
    assert (table["width"].sel(of="effect") < table["width"].sel(of="outcome")).all()
    # 400 nearly independent standard normal errors: the standard error is 1 / sqrt(800).
    assert float(table["z_rms"].sel(of="outcome")) == pytest.approx(1, abs=0.15)
    assert float(table["error"]) > 0


def test_changes_are_relative_to_the_lowest_setting() -> None:
    """Against one's own arithmetic on the draws of the same fit."""
    world = bi.simulators.Binary.random(2, seed=1)
    settings = {"seed": 4, "method": "laplace", "draws": 100}
    table = bi.calibration.coverage(world, rows=200, points=300, **settings)
    posterior = fitted(world.dataset(200, seed=4), **settings)
    cells = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    draws = prediction_of(posterior).mean(cells, np.ones((4, 2), dtype=bool))
    change = draws[..., 1:] - draws[..., :1]
    truth = world.joint_effect(cells)
    z = (change.mean(axis=(0, 1)) - (truth[1:] - truth[0])) / change.std(axis=(0, 1))
    points, _ = world.sample(world.names, 300, generator(4, "points"))
    cell = (points @ [2, 1]).astype(int)
    expected = np.sqrt(np.mean(z[cell[cell > 0] - 1] ** 2))
    assert float(table["z_rms"].sel(of="change")) == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(table).all().to_array().all()


def test_standard_errors_are_over_worlds() -> None:
    def world(coverage: float, z_rms: float) -> xr.Dataset:
        own = {"coverage": ("level", [coverage]), "width": ("level", [1.0]), "z_rms": z_rms}
        return xr.Dataset(own, {"level": [0.9]})

    table = bi.calibration.coverage_table([world(0.8, 3.0), world(0.9, 0.0), world(1.0, 0.0)])
    assert table["coverage"].item() == pytest.approx(0.9)
    assert table["coverage_error"].item() == pytest.approx(0.1 / np.sqrt(3))
    assert table["z_rms"].item() == pytest.approx(np.sqrt(3))
    with pytest.raises(bi.ModelError, match="at least two worlds"):
        bi.calibration.coverage_table([world(0.9, 1.0)])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (bi.models.additive("linear", noise="student_t"), "Gaussian noise"),
        (bi.models.multiplicative("linear"), "outcomes that are sums: use .*additive"),
    ],
)
def test_only_sums_with_gaussian_noise_have_ranks(model, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        bi.calibration.ranks(ROWS, model)
