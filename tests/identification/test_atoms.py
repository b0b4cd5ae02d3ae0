"""Support of a value that many rows share: rows beside it say nothing of a step there."""

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi


def table(visited: bool) -> bi.RegimeData:
    """A history with a third of spend at zero; experiments set zero, or only amounts above it."""
    rng, frames = np.random.default_rng(0), []
    for regime in ("", "tv", "radio"):
        spend = np.maximum(0, 0.5 + rng.normal(size=(400, 2)))
        if regime:
            own = rng.uniform(0, 3, 400) * ((rng.random(400) > 0.2) | (not visited))
            spend[:, ["tv", "radio"].index(regime)] = own
        frame = pd.DataFrame(spend, columns=["tv", "radio"])
        frames.append(frame.assign(y=spend.sum(axis=1) + rng.normal(size=400), regime=regime))
    return bi.RegimeData.from_frame(pd.concat(frames), ["tv", "radio"], "y", "regime")


@pytest.mark.parametrize("visited", [True, False])
def test_an_atom_is_supported_where_experiments_visit_it(visited: bool) -> None:
    model = bi.models.additive("linear", graph={})
    posterior = bi.fit(table(visited), model, method="laplace", draws=40, progress=False)
    points = {"tv": [0.0, 0.05, 1.0], "radio": [1.0, 1.0, 1.0]}
    supported = posterior.support(points)["supported"].to_numpy()
    assert supported.tolist() == [visited, True, True]
    costs, start = {"tv": 1.0, "radio": 1.0}, {"tv": 1.0, "radio": 1.0}
    plan = posterior.best(bi.Decision(costs, value=0.1, baseline=start), "mean")
    assert (plan.point["tv"] == 0.0) == visited
    assert plan.supported
