import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpyro.infer import Predictive

import bayes_intgen as bi
from bayes_intgen.assess.contraction import PRIOR_DRAWS, widths
from bayes_intgen.posterior.prior import prior_draws

from _posteriors import data_with_groups

# Linear mechanisms, which are quick to fit, do not follow the sine in these rows.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")


def test_prior_draws_match_the_generative_program(data) -> None:
    model = bi.models.additive(bias={"red": "linear"})
    terms = model.decompose(data)
    _, mine = prior_draws(model, terms, (PRIOR_DRAWS,), seed=0)
    some = slice(0, 5)
    with jax.enable_x64(True):
        samples = Predictive(model.program, num_samples=PRIOR_DRAWS)(
            jax.random.key(1), terms, jnp.asarray(terms.design(data)[some]), jnp.ones(5),
        )["coefficients"]  # fmt: skip
    # All but the intercept have prior mean zero.
    ours, theirs = (np.log(np.abs(x[:, 1:])) for x in (mine, np.asarray(samples)))
    # Medians of the logarithms, of about 2 in standard deviation, from 2,000 draws each.
    error = 1.25 * np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / PRIOR_DRAWS)
    gap = np.abs(np.median(ours, axis=0) - np.median(theirs, axis=0))
    assert (gap < 4.5 * error).all()


def test_prior_draws_have_the_scales_of_covariates_and_groups() -> None:
    model = bi.models.additive(
        "linear",
        covariates={"season": bi.Levels(scale=bi.LogNormal(3.0, 0.5))},
        moderators={"tv": ["age"]},
        groups={"region": ["level", "tv"]},
    )
    terms = model.decompose(data_with_groups())
    sites, _ = prior_draws(model, terms, (PRIOR_DRAWS,), seed=0)
    prior_of = {term.name: term.component.scale for term in terms.terms}
    for name, draws in zip(terms.scales, sites["scale"].T, strict=True):
        error = np.log(np.median(draws) / terms.unit / prior_of[name].median)
        # Standard error of the median of 2000 draws.
        assert abs(error) < 4 * 1.2533 * prior_of[name].sigma / np.sqrt(len(draws)), name


def test_contraction_is_the_ratio_of_posterior_and_prior_widths(posterior) -> None:
    points = [[0.5, -0.2], [-1.0, 0.3]]
    table = posterior.contraction(points, ["red"])
    effect = posterior.effect(points, ["red"]).to_numpy()
    np.testing.assert_allclose(table["effect_posterior"], widths(effect))
    mechanisms = posterior.mechanisms(points)
    for name in ("unconfounded", "confounded"):
        of = table.sel(mechanism=name)
        np.testing.assert_allclose(of["posterior"], widths(mechanisms[name].to_numpy()))
        np.testing.assert_allclose(of["contraction"], of["posterior"] / of["prior"])
    assert table["contraction"].dims == ("mechanism", "action", "point")
    assert (table["contraction"] < 0.5).all()
    assert (table["effect_contraction"] < 0.05).all()
    np.testing.assert_array_equal(posterior.contraction(points, ["red"])["prior"], table["prior"])


def test_unidentified_effects_keep_the_width_of_the_prior(data, posterior) -> None:
    some, linear = data.only([], ["red"]), bi.models.additive("linear")
    fitted = bi.fit(some, linear, method="laplace", draws=100, progress=False)
    with pytest.warns(bi.SupportWarning, match="is not identified"):
        joint = fitted.contraction([[1.0, 1.0]])
    of_red = fitted.contraction([[1.0, 1.0]], ["red"])
    # Green was never set, so only the prior separates its contribution from its bias.
    of_green = {"mechanism": "unconfounded", "action": "green"}
    identified = posterior.contraction([[1.0, 1.0]])["contraction"].sel(of_green)
    unidentified = joint["contraction"].sel(of_green)
    assert float(unidentified[0]) > 0.3
    assert float(unidentified[0]) > 3 * float(identified[0])
    assert float(joint["effect_contraction"][0]) > 5 * float(of_red["effect_contraction"][0])


def test_picture_has_prior_and_posterior_of_every_mechanism(posterior) -> None:
    figure = posterior.plot_contraction({"green": 0.2})
    assert len(figure.axes) == 4
    for ax in figure.axes:
        prior, wide, _ = ax.collections
        heights = [np.ptp(c.get_paths()[0].vertices[:, 1]) for c in (prior, wide)]
        assert heights[0] > heights[1]
        assert "of the prior's width" in ax.texts[0].get_text()
    with pytest.raises(bi.PointsError, match="unknown action 'blue'"):
        posterior.plot_contraction({"blue": 1})
    plt.close("all")
