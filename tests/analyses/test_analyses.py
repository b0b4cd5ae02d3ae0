import numpy as np
import pytest
from studies import assert_figures, assert_resumes, read, run

import bayes_intgen as bi


@pytest.mark.slow
def test_light_tunnel_from_rows_to_figure(tmp_path, monkeypatch, capsys) -> None:
    run("light_tunnel", monkeypatch, tmp_path)
    known, posterior = bi.datasets.light_tunnel(rows=150), bi.load(tmp_path / "light_tunnel.nc")
    effect = posterior.joint_effect(known.joint[["red", "green"]])
    answer, unsure = known.joint[["effect", "standard_error"]].to_numpy().T
    mean = effect.mean(("chain", "draw")).to_numpy()
    error = mean - answer
    assert (abs(error) < 4 * np.hypot(effect.std(("chain", "draw")), unsure)).all()
    table = read(tmp_path / "light_tunnel_effects.csv")
    np.testing.assert_allclose(table["joint effect"], mean, atol=0.51)
    # The history is biased.
    assert (table["history"] - table["measured"]).abs().mean() > abs(error).mean()
    assert_figures(tmp_path / "light_tunnel")
    assert "which no row of the data has" in capsys.readouterr().out


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
