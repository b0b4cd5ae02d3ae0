"""Real tables with a known joint answer: what fits say of them, and how they are made."""

import numpy as np
import pandas as pd
import pytest
from _rows import fitted, moments

import bayes_intgen as bi

TABLES = {
    "light tunnel": lambda seed: bi.datasets.light_tunnel(rows=300, seed=seed),
    "compiler": lambda seed: bi.datasets.compiler(rows=300, seed=seed),
    "tax plans": lambda seed: bi.datasets.tax_plans(seed=seed),
}
SEEDS = range(3)


def regression(rows: pd.DataFrame, known: bi.datasets.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard errors at the joint settings, as if the rows were not confounded."""
    both = pd.concat([rows, known.joint])[list(known.actions)].reset_index(drop=True)
    parts = [np.ones((len(both), 1))]
    for action, column in both.items():
        if action in ("red", "green"):
            parts.append((column.to_numpy()[:, None] / 85.0) ** [1, 2, 3])
        else:
            parts.append(pd.get_dummies(column, drop_first=True).to_numpy(float))
    design, points = np.split(np.hstack(parts), [len(rows)])
    outcome = rows[known.outcome].to_numpy(float)
    coefficients = np.linalg.lstsq(design, outcome)[0]
    residuals = outcome - design @ coefficients
    covariance = np.linalg.inv(design.T @ design) * residuals.var()
    return points @ coefficients, np.sqrt(np.einsum("ij,jk,ik->i", points, covariance, points))


@pytest.mark.parametrize("table", TABLES)
def test_fits_cover_the_joint_answer_and_history_alone_misses_it(table) -> None:
    """Shares of 90% intervals that contain the joint answer, and errors beside pooled rows."""
    covered, of_history, errors, of_pooled, dimension = [], [], [], [], 0
    for seed in SEEDS:
        known = TABLES[table](seed)
        truth, truth_error = known.joint[["effect", "standard_error"]].to_numpy().T
        fit = fitted(known.data, seed=seed)
        mean, sd = moments(fit.joint_effect(known.joint[list(known.actions)]))
        error = np.abs(mean - truth)
        covered.append(error < 1.645 * np.hypot(sd, truth_error))
        errors.append(error)
        pooled, _ = regression(known.frame, known)
        of_pooled.append(np.abs(pooled - truth))
        history = known.frame[known.frame["regime"] == "observational"]
        mean, standard_error = regression(history, known)
        of_history.append(np.abs(mean - truth) < 1.645 * np.hypot(standard_error, truth_error))
        # Answers of one fit are not independent: they have a coefficient for each level or power.
        dimension += 1 + sum(
            3 if action in ("red", "green") else known.joint[action].nunique() - 1
            for action in known.actions
        )
    share, binomial = np.mean(covered), np.sqrt(0.9 * 0.1 / dimension)
    assert share > 0.9 - 3 * binomial, f"{share:.2f} +- {binomial:.2f}"
    # Negative control.
    assert np.mean(of_history) < share - 3 * binomial
    assert np.sqrt(np.mean(np.square(errors)) / np.mean(np.square(of_pooled))) < 0.75


def randomised(rows: int = 30_000, seed: int = 0) -> pd.DataFrame:
    """Two actions and two causes, numbers and levels, set at random together."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"dose": rng.lognormal(size=rows)})
    frame["drug"] = rng.choice(["a", "b", "c"], size=rows, p=[0.5, 0.3, 0.2])
    frame["age"], frame["site"] = rng.uniform(20, 80, size=rows), rng.integers(0, 2, size=rows)
    outcome = true_effect(frame) + (frame["age"] - 50) / 30 + frame["site"] + rng.normal(size=rows)
    return frame.assign(row=np.arange(rows), outcome=outcome)


def true_effect(frame: pd.DataFrame) -> pd.Series:
    """Mean outcome of :func:`randomised`, less that of the causes, with an interaction."""
    return np.log(frame["dose"]) * (1 + (frame["drug"] == "b"))


def confounded(frame: pd.DataFrame, outcome: str, **settings) -> bi.datasets.Dataset:
    return bi.datasets.confound(frame, ["dose", "drug"], ["age", "site"], outcome, **settings)


def test_actions_follow_their_causes_except_where_they_are_set() -> None:
    frame = randomised()
    for cause, action, other in (("age", "dose", "drug"), ("site", "drug", "dose")):
        frame["cause"] = frame[cause]
        rows = confounded(frame, "cause", strength=0.6).frame
        ranks = rows.assign(dose=rows["dose"].rank(), drug=rows["drug"].rank())
        for regime, expected in (("observational", 0.6), (other, 0.6), (action, 0.0)):
            own = ranks[ranks["regime"] == regime]
            correlation = np.corrcoef(own[action].rank(), own["cause"].rank())[0, 1]
            assert abs(correlation - expected) < 4 / np.sqrt(len(own)), (cause, regime)
            # The law of a cause is that of the table in every regime.
            error = own["cause"].mean() - frame["cause"].mean()
            assert abs(error) < 4 * frame["cause"].std() / np.sqrt(len(own)), (cause, regime)


def test_no_row_is_used_twice_and_a_seed_gives_one_table() -> None:
    frame = randomised()
    first, same, other = (confounded(frame, "row", seed=seed).frame for seed in (0, 0, 1))
    assert first["row"].is_unique
    pd.testing.assert_frame_equal(first, same)
    assert not first["row"].isin(other["row"]).all()
    sizes = first["regime"].value_counts()
    assert set(sizes.index) == {"observational", "dose", "drug"}
    assert sizes.min() > 0.8 * sizes.max()
    assert "age" not in first


def test_joint_rows_are_a_random_sample_of_the_others() -> None:
    frame = randomised()
    frame["cause"] = frame["age"]
    rows = confounded(frame, "cause", joint_rows=400).frame
    together = rows[rows["regime"] == "dose+drug"]
    assert len(together) == 400
    assert abs(np.corrcoef(together["dose"].rank(), together["cause"])[0, 1]) < 4 / 20
    assert confounded(frame, "row", joint_rows=400).frame["row"].is_unique
    assert confounded(frame, "row", joint_rows=400).data.regimes[True, True] == 400
    with pytest.raises(bi.DataError, match="joint_rows"):
        confounded(frame, "row", joint_rows=-1)


def test_joint_answer_is_the_effect_of_setting_all_actions() -> None:
    scores = []
    for seed in range(12):
        frame = randomised(5_000, seed)
        joint = confounded(frame, "outcome", rows=30, strength=0.3).joint
        truth = true_effect(joint) + 0.5
        scores.append((joint["effect"] - truth) / joint["standard_error"])
        assert joint["standard_error"].max() < 0.2
    assert 0.85 < np.mean(np.abs(scores) < 1.96) < 1
    assert np.abs(np.mean(scores, axis=0)).max() < 4 / np.sqrt(12)
    # Of a complete factorial, cell means.
    known = bi.datasets.compiler(["inline", "gvn"], ["licm", "sink"], rows=100)
    assert known.joint["effect"].round(3).tolist() == [74769.973, 75868.578, 80348.792, 81587.975]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, {"actions": ["dose", "drg"]}, "no column 'drg'; did you mean 'drug'?"),
        ({}, {"causes": ["age", "dose"]}, "'dose' is passed as actions and causes"),
        ({"effect": 1}, {"actions": ["effect", "drug"]}, "'effect' is passed as .* joint answer"),
        ({}, {"causes": ["age"]}, "one column for each action"),
        ({"drug": lambda f: np.where(f["age"] > 70, "a", f["drug"])}, {}, "depend on each other"),
        ({"site": 1}, {}, "'site' never varies"),
        ({"age": lambda f: f["age"].where(f["age"] > 21)}, {}, r"dropna\(subset=\['age'\]\)"),
        ({"outcome": "high"}, {}, "'outcome' never varies"),
        ({"outcome": lambda f: f["drug"]}, {}, "not numbers"),
        ({"dose": lambda f: pd.to_datetime(f["row"])}, {}, "neither numbers nor levels"),
        ({}, {"rows": 20_000}, "fewer than 20000; lower strength"),
        ({}, {"causes": ["site", "age"], "strength": 0.99}, "lower strength to at most 0.9"),
        ({}, {"strength": 1.5}, "strength must lie between 0 and 1"),
    ],
)
def test_unsuitable_tables_are_refused_with_the_remedy(change, arguments, message) -> None:
    frame = randomised(5_000).assign(**change)
    given = {"actions": ["dose", "drug"], "causes": ["age", "site"]} | arguments
    with pytest.raises(bi.DataError, match=message) as refusal:
        bi.datasets.confound(frame, outcome="outcome", **given)
    assert len(str(refusal.value)) < 200


def test_few_rows_are_refused() -> None:
    with pytest.raises(bi.DataError, match="fewer than 20"):
        confounded(randomised(400), "outcome", strength=0.95)
