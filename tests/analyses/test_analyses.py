from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from studies import assert_figures, assert_resumes, run

import bayes_intgen as bi

SHARED = Path(__file__).parents[3] / "shared" / "benchmarks"


# Its naive curve runs over values of one colour that no row shows with the others at theirs.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_light_tunnel_from_file_to_figure(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("light_tunnel", exc_type=ImportError)
    light_tunnel = run("light_tunnel", monkeypatch, tmp_path)
    frame = pd.read_csv(tmp_path / "light_tunnel.csv")
    assert frame["regime"].fillna("observational").value_counts().to_dict() == {
        "observational": 200, "red": 100, "green": 100, "blue": 100,
    }  # fmt: skip
    posterior = bi.load(tmp_path / "light_tunnel.nc")
    points = np.array([[40.0, 215.0, 40.0], [215.0, 215.0, 215.0]])
    effect = posterior.joint_effect(points)
    error = np.abs(effect.mean(("chain", "draw")) - light_tunnel.truth(points))
    assert (error < 3.5 * effect.std(("chain", "draw"))).all()
    observational = posterior.effect(points, []).mean(("chain", "draw"))
    assert (np.abs(observational - light_tunnel.truth(points)) > error).all()
    assert_figures(tmp_path / "light_tunnel")
    assert (tmp_path / "light_tunnel_effects.csv").stat().st_size > 500
    assert "never seen together" in capsys.readouterr().out


@pytest.mark.slow
def test_benchmark_cases_print_ratios_to_the_limit(tmp_path, monkeypatch, capsys) -> None:
    if not SHARED.is_dir():
        pytest.skip("the benchmark cases are not here")
    run("benchmark_cases", monkeypatch, tmp_path, str(SHARED), "--only", "*K3*")
    out = capsys.readouterr().out
    assert "polynomial_K3_N2000: root mean square of error/limit" in out
    assert "polynomial_K3_N2000_seed21" in out


@pytest.mark.slow
def test_accuracy_study_saves_each_model_and_resumes(tmp_path, monkeypatch, capsys) -> None:
    accuracy = run("accuracy", monkeypatch, tmp_path)
    table = tmp_path / "accuracy_K2_N100.csv"
    command = "# python analyses/accuracy.py --models 2 --actions 2 --rows 100"
    assert table.read_text().startswith(command)
    assert "2 models of 2 actions" in capsys.readouterr().out
    assert_resumes(accuracy, table)


def test_residual_variance_matches_rows() -> None:
    from bayes_intgen.simulators import Polynomial

    import accuracy

    model = Polynomial.random(2, seed=0)
    points, outcome = model.sample(model.names, 50_000, np.random.default_rng(0))
    expected = (outcome - model.joint_effect(points)).var()
    assert accuracy.residual_variance(model, model.names, seed=3) == pytest.approx(
        expected, rel=0.05
    )
