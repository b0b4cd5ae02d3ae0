import warnings

import arviz_stats
import bayes_intgen.groups
import bayes_intgen.partition
import bayes_intgen.pilot
import bayes_intgen.sampling
import jax
import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import bayes_intgen as bi
import bayes_intgen.inference
from bayes_intgen.inference.density.modes import Mode
from bayes_intgen.inference.sampling import marginalised as integrated_out

from conftest import confounded_rows, confounding_bias, joint_truth

POINTS = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25]])


def test_bands_hold_the_joint_effect_and_observation_alone_does_not(posterior) -> None:
    effect = posterior.joint_effect(POINTS)
    mean, sd = effect.mean(("chain", "draw")), effect.std(("chain", "draw"))
    assert (np.abs(mean - joint_truth(POINTS)) < 3 * sd).all()
    assert (sd < 0.15).all()
    observed = posterior.effect(POINTS, intervened=[])
    mean, sd = observed.mean(("chain", "draw")), observed.std(("chain", "draw"))
    assert (np.abs(mean - joint_truth(POINTS) - confounding_bias(POINTS)) < 3.5 * sd).all()
    # Negative control: what is only observed is not the joint effect.
    assert (np.abs(mean - joint_truth(POINTS)) > 5 * sd)[1:].all()


# A row in a hundred is at the edge of its regime.
@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_one_set_action_gives_the_regime_that_was_seen(data, posterior) -> None:
    rows = data.intervened[:, 0]
    fitted = posterior.effect(data.actions[rows], intervened=["red"]).mean(("chain", "draw"))
    residual = data.outcome[rows] - fitted.to_numpy()
    assert abs(residual.mean()) < 3 * residual.std() / np.sqrt(rows.sum())


def quantities(posterior: bi.Posterior) -> xr.Dataset:
    """Hyperparameters and effects in which two evaluations can differ."""
    found = posterior.tree["posterior"].dataset
    for name in ("scale", "lengthscale", "noise_sd"):
        if name in found:
            found = found.assign({name: np.log(found[name])})
    return found.assign(
        joint=posterior.joint_effect(POINTS),
        observed=posterior.effect(POINTS, []).rename(point="seen").drop_vars(["red", "green"]),
    )


def distance(one: xr.Dataset, other: xr.Dataset) -> float:
    """Largest difference of means and of sds, in Monte Carlo standard errors."""
    largest = 0.0
    for method, statistic in (("mean", "mean"), ("sd", "std")):
        error = sum(arviz_stats.mcse(d, method=method) ** 2 for d in (one, other)) ** 0.5
        gap = abs(
            getattr(one, statistic)(("chain", "draw"))
            - getattr(other, statistic)(("chain", "draw"))
        )
        ratio = gap / error
        largest = max(largest, *(float(v.max()) for v in ratio.data_vars.values()))
    return largest


@pytest.mark.slow
@pytest.mark.parametrize("graph", [None, {"green": ["red"]}], ids=["unknown", "graph"])
@pytest.mark.parametrize("prior", [bi.GP(size=5), bi.Spline(intervals=4)], ids=["gp", "spline"])
def test_both_evaluations_of_a_model_have_the_same_posterior(prior, graph) -> None:
    data = confounded_rows(25, seed=3)
    # A prior mean of the intercept that is neither zero nor where the data are.
    model = bi.models.additive(prior=prior, graph=graph, intercept=(0.8, 0.2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        collapsed = bi.fit(data, model, draws=1500, warmup=600, simplify=False, progress=False)
        written_out = bi.fit(
            data, model, draws=1500, warmup=600, collapse=False, seed=1, progress=False
        )
        elsewhere = bi.fit(
            data,
            bi.models.additive(prior=prior, graph=graph, intercept=(0.0, 0.2)),
            draws=1500,
            simplify=False,
            progress=False,
        )
    one, other = quantities(collapsed), quantities(written_out)
    count = sum(2 * v.size // 6000 for v in one.data_vars.values())  # means and sds
    # The largest of `count` standard normal distances, exceeded once in a thousand runs.
    limit = float(-norm.ppf(0.0005 / count))
    assert distance(one, other) < limit
    # Negative control: another prior mean is seen.
    assert distance(one, quantities(elsewhere)) > limit


@pytest.mark.slow
def test_a_bold_approximation_that_is_walked_leaves_the_posterior_what_it_was(monkeypatch) -> None:
    data = confounded_rows(100, seed=3)

    def fitted(seed: int) -> bi.Posterior:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bi.SamplingWarning)
            return bi.fit(data, draws=1500, warmup=400, seed=seed, progress=False)

    exact = fitted(0)
    assert exact.tree["sample_stats"]["accepted"].all()
    for name, value in {"LEAST_SIZE": 10, "LEAST_ACCEPTED": 0.0}.items():
        monkeypatch.setattr(bayes_intgen.inference.density.blocks, name, value)
    monkeypatch.setattr(bayes_intgen.inference.density.partition, "SIZES", (8,))
    monkeypatch.setattr(bayes_intgen.inference.sampling.warmup, "MIN_ACCEPTANCE_RATE", 0.0)
    walked = fitted(1)
    # So bold that what is walked is another posterior.
    assert 0.3 < walked.tree["sample_stats"]["accepted"].mean() < 0.95
    one, other = quantities(exact), quantities(walked)
    count = sum(2 * v.size // 6000 for v in one.data_vars.values())
    assert distance(one, other) < float(-norm.ppf(0.0005 / count))


def test_student_t_noise_shrugs_off_outliers() -> None:
    clean = confounded_rows(60, seed=4)
    outcome = clean.outcome.copy()
    outcome[::15] += 30
    data = bi.RegimeData.from_arrays(clean.actions, outcome, clean.intervened, clean.names)
    errors = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        for noise, settings in (("gaussian", {"spread": "constant"}), ("student_t", {})):
            model = bi.models.additive(prior="linear", noise=noise, **settings)
            posterior = bi.fit(data, model, draws=200, progress=False)
            error = posterior.joint_effect(POINTS).mean(("chain", "draw")) - joint_truth(POINTS)
            errors[noise] = float(np.sqrt((error**2).mean()))
            if noise == "student_t":
                assert float(posterior.tree["posterior"]["df"].mean()) < 4
    assert errors["student_t"] < 0.4 < errors["gaussian"]


def test_the_seed_decides_the_draws_and_jax_settings_stay() -> None:
    data = confounded_rows(30, seed=5)
    model = bi.models.additive(prior="linear")

    def draws(seed: int) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bi.SamplingWarning)
            posterior = bi.fit(data, model, seed=seed, draws=20, warmup=50, progress=False)
        return posterior.joint_effect(POINTS).to_numpy()

    assert not jax.config.jax_enable_x64
    one, same, other = draws(1), draws(1), draws(2)
    assert not jax.config.jax_enable_x64
    assert one.dtype == np.float64
    np.testing.assert_array_equal(one, same)
    assert not np.isclose(one, other).any()


def test_units_change_nothing_but_units() -> None:
    data = confounded_rows(40, seed=6)
    factor, shift = 1e6, 3e7
    scaled = bi.RegimeData.from_arrays(
        data.actions * 1e-6, data.outcome * factor + shift, data.intervened, data.names
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        one, other = (bi.fit(d, progress=False) for d in (data, scaled))
    here = one.joint_effect(POINTS)
    there = (other.joint_effect(POINTS * 1e-6) - shift) / factor
    # At least 1,000 of the 2,000 draws of an effect are effective.
    sd = here.std(("chain", "draw"))
    gap = here.mean(("chain", "draw")) - there.mean(("chain", "draw"))
    assert (np.abs(gap) < 4 * np.sqrt(2 / 1000) * sd).all()
    np.testing.assert_allclose(there.std(("chain", "draw")) / sd, 1, atol=4 / np.sqrt(1000))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chains": 0}, "chains must be a whole number of at least 1"),
        ({"draws": 2}, "draws must be a whole number of at least 4"),
        ({"draws": 10.5}, "draws must be a whole number"),
        ({"seed": None}, "seed must be a whole number"),
        ({"target_accept": 1.0}, "target_accept must lie between 0 and 1"),
        ({"warmup": 1}, "warmup must be a whole number of at least 10"),
    ],
)
def test_senseless_settings_are_refused(data, settings, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        bi.fit(data, progress=False, **settings)
    with pytest.raises(bi.ModelError, match="Gaussian noise only"):
        bi.fit(data, bi.models.additive(noise="student_t"), collapse=True)


def test_what_is_no_data_or_no_model_is_refused(data) -> None:
    with pytest.raises(bi.DataError, match="must be a RegimeData, not ndarray"):
        bi.fit(data.actions)
    with pytest.raises(bi.ModelError, match="must come from bayes_intgen.models, not be str"):
        bi.fit(data, "gp")


def test_an_outcome_without_noise_is_refused(data) -> None:
    exact = bi.RegimeData.from_arrays(
        data.actions, data.actions @ [1.0, -1.0], data.intervened, data.names
    )
    with pytest.raises(bi.DataError, match="determine outcome 'outcome' all but exactly"):
        bi.fit(exact, bi.models.additive("linear"), progress=False)


def test_names_and_numbers_of_every_kind_fit(data) -> None:
    names = ("scale", "chain")
    renamed = bi.RegimeData.from_arrays(data.actions, data.outcome, data.intervened, names)
    settings = {"draws": np.int64(20), "warmup": np.int32(50), "seed": np.uint8(3)}
    posterior = bi.fit(
        renamed, bi.models.additive(bi.GP(size=np.int64(6))), **settings, progress=False
    )
    effect = posterior.joint_effect(POINTS)
    np.testing.assert_array_equal(effect["scale"], POINTS[:, 0])


def test_an_interrupt_stops_the_chains(data, monkeypatch) -> None:
    from bayes_intgen.inference.sampling import nuts as sampling

    seen = []

    class Bar:
        def __init__(self, **_: object) -> None:
            pass

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: int) -> None:
            seen.append(count)
            raise KeyboardInterrupt

    monkeypatch.setattr(sampling, "tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        bi.fit(data, bi.models.additive("linear"), draws=100_000)
    assert len(seen) <= 8


@pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")
def test_chains_begin_anew_from_a_higher_mode_that_one_of_them_finds(
    data, monkeypatch, tmp_path
) -> None:
    search, energies = integrated_out.find_modes, []

    def halted(posterior, start, most, progress):
        modes = search(posterior, start, most, progress)
        if not energies:
            # The first search ends where the noise is far too large.
            noise = np.arange(len(start)) == posterior.layout.positions["noise_sd"]
            modes = [Mode.at(posterior, modes[0].point + noise)]
        energies.append(modes[0].energy)
        return modes

    monkeypatch.setattr(integrated_out, "find_modes", halted)
    model = bi.models.additive(prior="linear")

    def effect(**more) -> np.ndarray:
        energies.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bi.SamplingWarning)
            posterior = bi.fit(data, model, draws=400, progress=False, **more)
        return posterior.joint_effect(POINTS).to_numpy()

    again = effect()
    assert len(energies) == 2
    assert energies[1] < energies[0] - 10
    # A fit that is taken up from its checkpoint begins anew where that did.
    for _ in range(2):
        np.testing.assert_array_equal(effect(checkpoint=tmp_path / "chains"), again)
    monkeypatch.setattr(integrated_out, "find_modes", search)
    straight = effect()
    assert not energies
    difference = again.mean((0, 1)) - straight.mean((0, 1))
    # Both from 1,600 draws, of which a quarter at least is effective.
    error = np.sqrt(again.var((0, 1)) / 400 + straight.var((0, 1)) / 400)
    assert (np.abs(difference) < 4 * error).all()
    assert (difference != 0).any()


# So few rows leave a level without experiments.
@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
@pytest.mark.parametrize("prior", ["gp", "spline", "polynomial", "linear"])
def test_actions_that_are_lumpy_and_few_rows_fit(prior) -> None:
    rng = np.random.default_rng(8)
    rows = 16
    actions = np.stack([rng.integers(0, 2, rows), np.where(rng.random(rows) < 0.7, 0, 5)], axis=1)
    intervened = np.zeros((rows, 2), dtype=bool)
    intervened[8:12, 0] = intervened[12:, 1] = True
    data = bi.RegimeData.from_arrays(actions, actions[:, 0] + rng.normal(size=rows), intervened)
    posterior = bi.fit(data, bi.models.additive(prior), draws=20, warmup=40, progress=False)
    assert np.isfinite(posterior.joint_effect(actions)).all()


def test_structure_from_a_sample_of_rows_gives_the_effects_of_all_rows(data, monkeypatch) -> None:
    """Coordinates, knots and the variance function from a third of the rows, sums from all."""
    settings = {"draws": 200, "progress": False, "seed": 0}
    whole = bi.fit(data, **settings)
    for module in (bayes_intgen.inference.pilot.pilot, bayes_intgen.api.fitting):
        monkeypatch.setattr(module, "PILOT_ROWS", len(data) // 3)
    part = bi.fit(data, **settings)
    assert float(part.tree["constant_data"]["rows"].sum()) == len(data)
    points = data.actions[::90]
    effects = [posterior.joint_effect(points) for posterior in (whole, part)]
    mean, other = (effect.mean(("chain", "draw")) for effect in effects)
    sd = effects[0].std(("chain", "draw"))
    assert float((abs(mean - other) / sd).max()) < 0.6
    ratio = effects[1].std(("chain", "draw")) / sd
    np.testing.assert_allclose(ratio, 1, atol=0.25)
