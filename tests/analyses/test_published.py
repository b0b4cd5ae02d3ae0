import re
import warnings
from collections import Counter

import numpy as np
import pytest
import xarray as xr
from _rows import sampled
from studies import assert_figures, assert_resumes, run

import bayes_intgen as bi

import _ridge
import _study
import calibration
import published_main
from _tables import commits, read_table, write_table


@pytest.mark.slow
def test_the_main_experiment_scores_every_estimator(tmp_path, monkeypatch, capsys) -> None:
    run("published_main", monkeypatch, tmp_path)
    rows = read_table(tmp_path / "published_main_models.csv")
    # Two models; the Bayesian baselines are fitted to one.
    assert Counter(row["estimator"] for row in rows) == {
        label: 1 if label.endswith("(Bayesian)") else 2 for label in published_main.LABELS
    }
    # Errors against noisy outcomes include their noise.
    noisy, error = "rmse against noisy outcomes", "error against the true effect"
    assert all(0 < float(row[error]) < float(row[noisy]) for row in rows)
    assert "this library" in capsys.readouterr().out
    assert_figures(tmp_path / "published_main")
    assert (tmp_path / "published_main.csv").stat().st_size > 200
    assert_resumes(published_main, tmp_path / "published_main_models.csv")


@pytest.mark.slow
def test_calibration_study_writes_tables_and_figures(tmp_path, monkeypatch, capsys) -> None:
    run("calibration", monkeypatch, tmp_path)
    lines = read_table(tmp_path / "calibration_coverage.csv")
    every = [line for line in lines if line["kind"] == "all"]
    assert [(line["intervals of"], float(line["level"])) for line in every] == [
        (of, level) for of in calibration.OF for level in bi.calibration.LEVELS
    ]
    rough = read_table(tmp_path / "calibration_lack_of_fit.csv")
    assert {line["kind"] for line in lines} == {"all", "binary", "dose response"}
    assert {line["kind"] for line in rough} == {"all", "steps"}
    fits = {line["kind"]: line for line in read_table(tmp_path / "calibration_fits.csv")}
    assert set(fits) == set(calibration.QUICK_KINDS)
    # Fifty draws in two chains cannot be called converged.
    assert all(line["worlds"] == line["worlds with warnings"] == "2" for line in fits.values())
    rows = read_table(tmp_path / "calibration_simulations.csv")
    assert {row["name"] for row in rows} == {"gp", "spline"}
    assert {"intercept", "noise_sd", "joint_effect[0]"} <= {row["quantity"] for row in rows}
    for name in ("calibration_coverage", "calibration_lack_of_fit"):
        assert_figures(tmp_path / name, 1000)


def test_every_kind_of_world_is_random_and_selectable() -> None:
    for kind, random in calibration.WORLDS.items():
        first, second = random(2, 1), random(2, 2)
        points = first.sample(first.names, 4, np.random.default_rng(0))[0]
        assert np.isfinite(first.joint_effect(points)).all(), kind
        assert not np.array_equal(first.dataset(50, 0).outcome, second.dataset(50, 0).outcome), kind
    args = calibration.parse_arguments(["--models", "3", "--kinds", "rare binary", "zeros"])
    assert calibration.command_line(args).endswith("--kinds 'rare binary' zeros")
    jobs = calibration.world_jobs(args)
    assert [(job["seed"], job["kind"]) for job in jobs[:3]] == [
        (40_000, "rare binary"), (40_000, "zeros"), (40_001, "rare binary"),
    ]  # fmt: skip
    assert len(jobs) == 6


def test_failures_and_lack_of_fit_warnings_are_counted(monkeypatch) -> None:
    def fits(world, *, seed, **settings):
        if seed == 10_000:
            raise ValueError("array must not contain infs or NaNs")
        if seed == 10_001:
            warnings.warn("a2 is a step", bi.LackOfFitWarning, stacklevel=2)
        shares = (("of", "level"), np.full((3, 4), 0.1 * (seed - 10_000)))
        found = {"coverage": shares, "width": shares, "z_rms": ("of", [seed - 10_000.0] * 3)}
        found |= {"error": 0.1, "divergences": 3 if seed == 10_002 else 0}
        at = {"of": list(calibration.OF), "level": list(bi.calibration.LEVELS)}
        return xr.Dataset(found, at)

    monkeypatch.setattr(bi.calibration, "coverage", fits)
    rows = [
        {name: str(value) for name, value in row.items()}
        for seed in range(4)
        for row in calibration.score_coverage(seed, "steps", 2, 10, 10, True)
    ]
    (line,) = calibration.fit_lines(rows)
    assert line == {
        "kind": "steps", "worlds": 4, "failures": 1, "worlds with divergences": 1,
        "divergences": 3, "worlds with warnings": 1, "warnings": 1,
        "lack of fit reported": "0.250",
    }  # fmt: skip
    assert "ValueError: array must not contain infs or NaNs" in rows[0]["failure"]
    lines = calibration.coverage_lines(rows, ["steps"])
    assert {line["worlds"] for line in lines} == {3}
    assert lines[0]["coverage"] == "0.2000"
    assert lines[0]["standard error"] == f"{0.1 / np.sqrt(3):.4f}"
    assert lines[0]["rms z"] == f"{np.sqrt(14 / 3):.3f}"


def test_only_nonuniform_ranks_have_small_p_values() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"name": "gp", "quantity": name, "share": str(value)}
        for name, values in (("good", rng.random(300)), ("bad", rng.beta(3, 3, 300)))
        for value in values
    ]
    p = {line["quantity"]: float(line["p of uniformity"]) for line in calibration.rank_lines(rows)}
    assert p["good"] > 0.01
    assert p["bad"] < 1e-4


def test_published_estimator_is_accurate_for_quadratic_effects() -> None:
    """Additive quadratics with Gaussian causes: every regime's mean is a polynomial."""

    def truth(points: np.ndarray) -> np.ndarray:
        return (points**2).sum(axis=1) / 4

    own, common = [lambda a, c, v: c + v] * 2, {"noise": 0.0, "settings": 1.4}
    data = sampled(own, 4000, 1, outcome=lambda a, c: truth(a) + c.sum(axis=1), **common)
    separate = _ridge.Separate(data)
    points = np.random.default_rng(1).normal(size=(200, 2))

    def error(estimate: np.ndarray) -> float:
        return float(np.sqrt(np.mean((estimate - truth(points)) ** 2)))

    # Ten coefficients in each of three regressions on 4,000 rows, noise of sd 1.2.
    assert error(separate.published(points)) < 3 * 1.2 * np.sqrt(3 * 10 / 4000)
    assert error(separate.observational(points)) > 0.4
    assert error(separate.averaged(points)) > 0.2


def test_a_table_names_the_commits_that_made_its_rows(tmp_path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    write_table(first, [{"seed": 0}], "a command")
    if not commits(first):
        pytest.skip("no git checkout")
    (made_by,) = commits(first)
    assert re.fullmatch(r"[0-9a-f]{7,}\+?", made_by)
    first.write_text(first.read_text().replace(made_by, "0123abc"))
    write_table(second, [{"seed": 0}, {"seed": 1}], "a command", first)
    assert commits(second) == ["0123abc", made_by]
    assert read_table(second) == [{"seed": "0"}, {"seed": "1"}]


@pytest.mark.slow
def test_an_interrupted_study_resumes_from_saved_rows(tmp_path, capsys) -> None:
    path = tmp_path / "study.csv"
    jobs = [{"seed": seed} for seed in range(3)]
    write_table(path, [{"seed": s, "value": v} for s, v in ((2, 2.5), (0, 1.5), (7, 9.0))], "x")
    with pytest.raises(Exception, match="spoiled"):
        _study.run_study(spoiled, jobs, path, "a command", 1)
    assert len(read_table(path)) == 3
    rows = _study.run_study(twice, jobs, path, "a command", 1)
    assert rows == [
        {"seed": "0", "value": "1.5"}, {"seed": "1", "value": "2"}, {"seed": "2", "value": "2.5"},
    ]  # fmt: skip
    # Rows of other jobs stay, and nothing is left to run.
    assert read_table(path)[-1] == {"seed": "7", "value": "9.0"}
    assert _study.run_study(spoiled, jobs[::-1], path, "a command", 1) == rows[::-1]
    # Rows of other versions are not mixed with new ones.
    path.write_text(path.read_text().replace("numpyro ", "numpyro 0."))
    assert [r["value"] for r in _study.run_study(twice, jobs, path, "x", 1)] == ["0", "2", "4"]
    assert len(read_table(tmp_path / "study.old.csv")) == 4
    assert "starting anew" in capsys.readouterr().out


def spoiled(seed: int) -> list[dict[str, float]]:
    raise ValueError("spoiled")


def twice(seed: int) -> list[dict[str, float]]:
    return [{"seed": seed, "value": 2 * seed}]
