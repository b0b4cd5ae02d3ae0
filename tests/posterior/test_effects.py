import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.posterior.effects import effect_table

POINTS = np.array([[0.2, 0.1], [0.5, -0.5]])


def test_table_summarises_the_draws(posterior) -> None:
    table = effect_table(posterior, POINTS, baseline=[[0.0, 0.0]], level=0.8)
    draws = posterior.joint_effect(POINTS).to_numpy().reshape(-1, 2)
    start = posterior.joint_effect([[0.0, 0.0]]).to_numpy().reshape(-1, 1)
    np.testing.assert_allclose(table["mean"], draws.mean(axis=0))
    for change, prefix in ((draws, ""), (draws - start, "change_")):
        ends = np.quantile(change, [0.1, 0.9], axis=0)
        np.testing.assert_allclose([table[prefix + "low"], table[prefix + "high"]], ends)
    np.testing.assert_allclose(table["change"], (draws - start).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(table["above_zero"], (draws > start).mean(axis=0))
    assert (table["outcome_low"] < table["low"]).all()
    assert (table["outcome_high"] > table["high"]).all()
    with pytest.raises(bi.PointsError, match="3 baselines for 2"):
        effect_table(posterior, POINTS, baseline=np.zeros((3, 2)))
