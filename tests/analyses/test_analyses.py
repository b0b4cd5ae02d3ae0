import json
import re

import numpy as np
import pytest
from studies import assert_figures, assert_resumes, read, run

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial


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
def test_benchmark_cases_print_ratios_to_the_limit(tmp_path, monkeypatch, capsys) -> None:
    world, scores = Polynomial.random(2, seed=0), {}
    for name in ("cubic_seed1", "cubic_seed2"):
        data = world.dataset(100, seed=len(scores))
        regime = np.where(data.intervened.any(axis=1), data.intervened.argmax(axis=1), -1)
        truth = {"points": data.actions, "effect": world.joint_effect(data.actions)}
        np.savez(
            tmp_path / name, actions=data.actions, outcome=data.outcome, regime=regime, **truth
        )
        scores[name] = {"limit": 0.5, "joint_topline": 0.1, "published": 5.0}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    run("benchmark_cases", monkeypatch, tmp_path, str(tmp_path))
    out = capsys.readouterr().out
    (ratio,) = re.findall(r"cubic: root mean square of error/limit ([\d.]+) over 2 cases", out)
    assert 0.05 < float(ratio) < 5


@pytest.mark.slow
def test_accuracy_study_saves_each_model_and_resumes(tmp_path, monkeypatch, capsys) -> None:
    accuracy = run("accuracy", monkeypatch, tmp_path)
    table = tmp_path / "accuracy_K2_N100.csv"
    command = "# python analyses/accuracy.py --models 2 --actions 2 --rows 100"
    assert table.read_text().startswith(command)
    assert "2 models of 2 actions" in capsys.readouterr().out
    assert_resumes(accuracy, table)


def test_residual_variance_matches_rows() -> None:
    import accuracy

    model = Polynomial.random(2, seed=0)
    points, outcome = model.sample(model.names, 50_000, np.random.default_rng(0))
    expected = (outcome - model.joint_effect(points)).var()
    assert accuracy.residual_variance(model, model.names, seed=3) == pytest.approx(
        expected, rel=0.05
    )
