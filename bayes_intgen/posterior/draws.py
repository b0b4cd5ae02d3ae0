"""Posterior draws of a fit: effects, outcomes and mechanisms, in labelled arrays.

Every result has dims (chain, draw, ...), the quantity's own dims last.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Self

import narwhals as nw
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._arguments import mapping
from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._random import Seed, generator, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, decoded_table
from bayes_intgen.data.queries import checked_points, named_points, point_labels
from bayes_intgen.data.rows import OutcomeKind
from bayes_intgen.errors import ModelError, PointsError
from bayes_intgen.identification.graph import edge_probabilities
from bayes_intgen.inference.settings import Autocorrelation
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import VarianceFunction
from bayes_intgen.posterior.carryover import prediction_after, restated
from bayes_intgen.posterior.fit_support import FitSupport, Query
from bayes_intgen.posterior.population import (
    RowsAlike,
    Standardisation,
    draws_of_scale,
    in_population,
    of_rows,
    standardisation,
    warn_of_range,
)
from bayes_intgen.posterior.schema import (
    FIT,
    draw_coordinates,
    size_of_draws,
    stored_model,
    stored_prediction,
)

# Coordinates of draws that the name of an action does not replace.
RESERVED = ("chain", "draw", "point", "supported")


class PosteriorDraws:
    """Posterior draws of a model, with everything needed to predict from them.

    Numeric core of :class:`bayes_intgen.Posterior`, which documents its attributes. The tree,
    made by :func:`bayes_intgen.posterior.schema.build_tree`, is its only state: a fit gives the
    model, terms and variance function that it has written there, a file those that are read.
    """

    def __init__(
        self,
        tree: xr.DataTree,
        written: tuple[Model, Decomposition, VarianceFunction] | None = None,
    ) -> None:
        self.tree = tree
        self.model, self.terms, self.spread = written or stored_model(tree)

    def __repr__(self) -> str:
        names = ", ".join(map(repr, self.actions))
        size = size_of_draws(self.tree)
        return f"{type(self).__name__} of {self.outcome_name!r} given {names}: {size}"

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions."""
        return self.terms.names

    @property
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for an action without levels."""
        return self.terms.categories

    @property
    def outcome_kind(self) -> OutcomeKind:
        """What a single outcome can be: ``continuous``, ``binary`` (0 or 1) or ``count``."""
        return self._prediction.law.kind

    @property
    def outcome_name(self) -> str:
        """Name of the outcome."""
        return str(self.tree[FIT].attrs["outcome"])

    @property
    def predictor_name(self) -> str:
        """Name of what contributions add up to: the outcome, or its logarithm."""
        return f"log {self.outcome_name}" if self.model.link == "log" else self.outcome_name

    @property
    def autocorrelation(self) -> Autocorrelation:
        """Correlation of rows that follow each other.

        Intervals allow for it if the rows have a time. Otherwise it is that of neighbours in an
        order that can be seen, and they do not.
        """
        attrs = self.tree["noise"].attrs
        return Autocorrelation(**{name: attrs[name] for name in Autocorrelation._fields})

    @cached_property
    def averages(self) -> Standardisation:
        """Population about which this posterior is asked; that of the fit by default."""
        return standardisation(self.tree, self.terms, self._support.regimes, {}, None)

    def given(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> Self:
        """Ask about some values of covariates and groups.

        Effects are averages over the observational rows (over all rows, if there are none) in all
        covariates and groups that are not given.

        Parameters
        ----------
        values : mapping from covariate or grouping to value, or list of values, optional
            Lists are averaged with equal weights, over all combinations of several. The group
            ``bi.NEW_GROUP``, one that is not in the data, has the spread between groups in its
            interval.
        **named
            The same by keywords.

        Returns
        -------
        Posterior
            All its answers are at these values, and those given before. Its file and its updates
            are those of the fit.

        Raises
        ------
        PointsError
            On unknown names, levels or groups, and on values that are not finite.

        Warns
        -----
        SupportWarning
            If values leave the observed range of a covariate.

        Examples
        --------
        ``posterior.given(age=40).over("bootstrap").joint_effect(points)``
        """
        values = mapping(values, "given", "covariates and groups to values", PointsError) | named
        known = self.averages
        return self._view({**known.given, **values}, known.over) if values else self

    def over(self, population: Any) -> Self:
        """Ask about averages over another population.

        Parameters
        ----------
        population : table or "bootstrap"
            Rows over which effects are averaged, with a column per covariate and grouping that
            is not given. Rows are a fixed population: intervals do not include that they may be
            a sample of another. With ``"bootstrap"`` they do: each draw weights the observational
            rows by the Bayesian bootstrap (Rubin 1981), the same way in all answers.

        Returns
        -------
        Posterior
            All its answers are averages over this population.

        Raises
        ------
        PointsError
            On missing columns, unknown levels or groups, and cells that are not finite.

        Warns
        -----
        SupportWarning
            If values leave the observed range of a covariate.

        Examples
        --------
        ``posterior.over(customers).best(decision)``
        """
        return self if population is None else self._view(self.averages.given, population)

    def _view(self, given: Mapping[str, Any], population: Any) -> Self:
        view = copy(self)
        regimes = self._support.regimes
        view.averages = standardisation(self.tree, self.terms, regimes, given, population)
        return view

    def joint_effect(
        self,
        points: Any,
        *,
        given: Mapping[str, Any] | None = None,
        population: Any = None,
        periods: int | None = None,
    ) -> xr.DataArray:
        """Draws of the mean outcome with all actions set, E[Y | do(points)].

        Parameters
        ----------
        points : array_like, shape (M, K), table, dict or list of dicts
            In the actions' own units, levels by their names: a table with a column for each
            action, or ``{"dose": 3, "drug": "on"}`` with a value for each, or several of these.
        given : mapping from covariate or grouping to value, or list of values, optional
            Short for ``posterior.given(...)``; see :meth:`given`.
        population : table or "bootstrap", optional
            Short for ``posterior.over(...)``; see :meth:`over`.
        periods : int, optional
            For how many periods actions that carry over are set to the points, before which they
            are at their medians; by default for as long as they act.

        Returns
        -------
        DataArray, dims (chain, draw, point)
            In the outcome's units; the attribute ``population`` says over whom it is averaged, and
            for how long actions are held that carry over.
            Coordinates along ``point``: the index of a data frame, the values, or names of levels,
            of each action, and ``supported``, whether rows near the point identify the effect.
            Of a binary outcome it is a probability, and the attribute ``outside_0_1`` is the
            share of draws below 0 or above 1.

        Raises
        ------
        PointsError
            On wrong shapes, missing columns, unknown levels, or cells that are not finite.

        Warns
        -----
        SupportWarning
            Where points are not supported: how many, because of which actions, and why. Where the
            level of the effect rests on the trend, say, as no date has both history and an
            experiment; a contrast does not.

        Examples
        --------
        >>> posterior.joint_effect([[0.1, 0.2]]).dims
        ('chain', 'draw', 'point')
        """
        return self.given(given).over(population)._effect(points, self.actions, periods)

    def effect(
        self,
        points: Any,
        intervened: Sequence[str],
        *,
        given: Mapping[str, Any] | None = None,
        population: Any = None,
    ) -> xr.DataArray:
        """Draws of E[Y | do(a_S), a_rest]: some actions set, the others observed.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column per action
            Values of all actions, whether set or observed.
        intervened : sequence of str
            The set S of actions that are set; empty for none.
        given, population
            As in :meth:`joint_effect`.

        Returns
        -------
        DataArray, dims (chain, draw, point)

        Raises
        ------
        PointsError
            As :meth:`joint_effect`, and where ``intervened`` names an unknown action.

        Warns
        -----
        SupportWarning
            As :meth:`joint_effect`, and where the regimes do not identify the effect.

        Examples
        --------
        >>> posterior.effect([[0.1, 0.2]], intervened=["red"]).sizes["point"]
        1
        """
        return self.given(given).over(population)._effect(points, intervened)

    @takes_rng
    def outcome(
        self,
        points: Any,
        intervened: Sequence[str] | None = None,
        *,
        given: Mapping[str, Any] | None = None,
        population: Any = None,
        seed: Seed = 0,
    ) -> xr.DataArray:
        """Draws of the outcome itself, Y given do(a_S) and a_rest.

        The mean is that of :meth:`effect`. The variance of the noise is that of the mask: it is
        affine in the mask, hence identified where the mean is, and each draw has its own. Its shape
        is that of all residuals, or a Student-t law where the model says so. Binary outcomes are
        drawn as 0 or 1, with probabilities clipped to [0, 1], and counts as counts with the
        identified variance. With covariates or groups, each draw is of a unit drawn from the
        population.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column per action
        intervened : sequence of str, optional
            The set S of actions that are set; all by default.
        given, population
            As in :meth:`joint_effect`.
        seed : int
            The same seed gives the same draws.

        Returns
        -------
        DataArray, dims (chain, draw, point)
            In the outcome's units; its quantiles over chain and draw are predictive, and of a
            binary outcome its mean is the probability of a one.

        Raises
        ------
        PointsError
            As :meth:`effect`.

        Warns
        -----
        SupportWarning
            As :meth:`effect`.

        Examples
        --------
        >>> wide = posterior.outcome([[0.1, 0.2]]).std()
        >>> bool(wide > posterior.joint_effect([[0.1, 0.2]]).std())
        True
        """
        view = self.given(given).over(population)
        query = self._support.query(points, intervened)
        self._support.warn_of_level(query.intervened, view.averages)
        rng = generator(seed, "outcome")
        outcome = prediction_of(view).draw(query.values, query.mask, rng)
        return view._labelled("outcome", outcome, query)

    def support(self, points: Any, intervened: Sequence[str] | None = None) -> xr.Dataset:
        """Support of the effect at points, and distances to the rows of each regime.

        Equals :meth:`bayes_intgen.Rows.support` with the graph of the model and the reference rows
        of the fit, but for interactions: the data know none, while a point of a fit is supported
        only if the regimes reach the values of interacting actions together. Covariates and groups
        matter to levels only, as the attribute ``level_rests_on`` says. :meth:`given` and
        :meth:`over` warn where they leave the observed range of a covariate.

        Raises
        ------
        PointsError
            As :meth:`effect`.

        Examples
        --------
        >>> posterior.support([[0.1, 0.2]]).supported.item()
        True
        """
        return self._support.dataset(points, intervened)

    def mechanisms(self, grid: Any) -> xr.Dataset:
        """Draws of the contribution of each action along a grid.

        Parameters
        ----------
        grid : array_like, shape (M, K), or data frame with a column per action
            The contribution of each action is evaluated along its own column. The confounded
            contribution also depends on the columns of the action's parents, or of all actions
            where the graph is unknown. The population matters for actions with moderators or
            group slopes.

        Returns
        -------
        Dataset, dims (chain, draw, action, point)
            ``unconfounded``: phi_k(a_k), with mean zero over the data's rows.
            ``confounded``: phi_k + delta_k, the contribution where the action is observed.
            ``interaction`` (chain, draw, pair, point), if the fit has interactions: psi_jk(a_j,
            a_k) of each such pair of actions, with mean zero over the rows' values of either;
            coordinates ``first`` and ``second`` (pair) name them.
            In units of attribute ``scale``; coordinate ``value`` (action, point) is the grid.

        Raises
        ------
        PointsError
            As :meth:`joint_effect`.
        ModelError
            Where the model is a regression, not additive.

        Examples
        --------
        >>> sorted(posterior.mechanisms([[0.1, 0.2]]).data_vars)
        ['confounded', 'unconfounded']
        """
        if not isinstance(self.model, AdditiveModel):
            raise ModelError(
                f"{type(self.model).__name__} has no mechanisms: only models.additive() breaks "
                "the outcome down into contributions"
            )
        values = checked_points(grid, self.actions, self.categories)
        low, high = np.array([[own.low, own.high] for own in self.terms.coordinates]).T
        warn_of_range("points", self.actions, values, low, high)
        prediction = prediction_of(self)
        unconfounded, bias = prediction.contributions(values)
        dims = "chain", "draw", "action", "point"
        table = labelled_points(self, values).assign(
            unconfounded=(dims, unconfounded), confounded=(dims, unconfounded + bias)
        )
        table = table.assign_coords(draw_coordinates(self.tree))
        table = table.assign_attrs(scale=self.predictor_name)
        if not self.terms.interactions:
            return table
        pairs = np.array(self.actions)[np.array([*self.terms.interactions])]
        psi = ("chain", "draw", "pair", "point"), prediction.interactions(values)
        return table.assign(interaction=psi).assign_coords(
            pair=self.terms.pair_labels,
            first=("pair", pairs[:, 0].tolist()),
            second=("pair", pairs[:, 1].tolist()),
        )

    @property
    def graph(self) -> xr.DataArray:
        """Probability of each edge of the graph over the actions.

        From the rows in which the possible parent was set: they show which actions depend on it.
        One quarter where no rows decide; 1 or 0 for edges of a given graph. Dependence of the
        outcome's biases on the actions is not used.

        Returns
        -------
        DataArray, dims (action, parent)
            Probability that ``parent`` moves ``action`` directly. The coordinate ``source`` says
            what it rests on: "rows", "given", or the "prior" alone where no rows decide.

        Raises
        ------
        ModelError
            If the fit has learned no graph: a regression, or a model with ``graph="any"``.

        Examples
        --------
        >>> posterior.graph.dims
        ('action', 'parent')
        """
        if self.terms.parents is None:
            raise ModelError(
                "this fit has no graph over the actions; fit models.additive() with graph=None, "
                "which learns it"
            )
        names, edges = list(self.actions), self.model.edges(self.actions)
        assert edges is not None  # because there are probabilities
        no_evidence = np.isclose(
            self.terms.parents, edge_probabilities(edges, np.zeros(edges.shape))
        )
        learned = np.where(no_evidence, "prior", "rows")
        source = np.where(np.isnan(edges), learned, "given")
        dims = ("action", "parent")
        return xr.DataArray(
            self.terms.parents,
            {"action": names, "parent": names, "source": (dims, source)},
            dims,
            name="probability of an edge",
        )

    @cached_property
    def _prediction(self) -> Prediction:
        """Predictions in the population of the fit."""
        return stored_prediction(self.tree, self.terms, self.spread, self.model.link)

    @cached_property
    def _support(self) -> FitSupport:
        return FitSupport.of(self.tree, self.model, self.terms)

    def _effect(
        self, points: Any, intervened: Sequence[str], periods: int | None = None
    ) -> xr.DataArray:
        """Draws of the effect in the population asked about, after some periods."""
        values = checked_points(points, self.actions, self.categories)
        query = self._support.query_at(values, intervened, periods=periods)
        self._support.warn_of_level(query.intervened, self.averages)
        mean = prediction_of(self, periods=periods).mean(query.values, query.mask)
        shown = query._replace(values=values, labels=point_labels(points, len(values)))
        effect = self._labelled("effect", mean, shown)
        return effect.assign_attrs(restated(effect.attrs, self.terms, periods))

    def _labelled(self, name: str, draws: Array, query: Query) -> xr.DataArray:
        """Label draws, shape (chain, draw, M), at the points of a query."""
        coords = coordinates(self, query.labels, query.verdict.supported, {"": query.values})
        attrs: dict[str, Any] = {"intervened": ", ".join(query.intervened)}
        attrs |= {"outcome": self.outcome_name, **self.averages.attrs}
        if name == "effect":
            attrs |= shares_out_of_range(self._prediction, draws)
        return labelled_dataset({name: (("chain", "draw", "point"), draws, attrs)}, coords)[name]


def coordinates(
    posterior: PosteriorDraws,
    labels: NDArray[Any],
    supported: NDArray[np.bool_],
    points: Mapping[str, Array],
) -> dict[str, Any]:
    """Coordinates of draws: chains, points, and the values of the actions after each prefix."""
    coords: dict[str, Any] = {**draw_coordinates(posterior.tree), "point": labels}
    for prefix, values in points.items():
        columns = named_points(values, posterior.actions, posterior.categories)
        named = {f"{prefix}{name}": ("point", column) for name, column in columns.items()}
        coords |= {name: column for name, column in named.items() if name not in RESERVED}
    return coords | {"supported": ("point", supported)}


def tails_of(level: float) -> list[float]:
    """Probabilities at the ends of a central interval.

    Examples
    --------
    >>> tails_of(0.5)
    [0.25, 0.75]
    """
    return [(1 - level) / 2, (1 + level) / 2]


def central(draws: Array, level: float, name: str = "") -> dict[str, Array]:
    """Mean and ends of the central interval over the first axis, as columns after a name.

    Examples
    --------
    >>> [*central(np.zeros((10, 2)), 0.9)], [*central(np.zeros((10, 2)), 0.9, "gain")]
    (['mean', 'low', 'high'], ['gain', 'gain_low', 'gain_high'])
    """
    low, high = np.quantile(draws, tails_of(level), axis=0)
    prefix = f"{name}_" if name else ""
    return {name or "mean": draws.mean(axis=0), f"{prefix}low": low, f"{prefix}high": high}


def statistics_of(draws: Array, level: float) -> dict[str, Array]:
    """Mean, standard deviation and ends of the central interval over the first axis.

    Examples
    --------
    >>> statistics_of(np.array([[0.0], [2.0]]), 0.5)["sd"].tolist()
    [1.0]
    """
    mean, low, high = central(draws, level).values()
    return {"mean": mean, "sd": draws.std(axis=0), "low": low, "high": high}


def labelled_points(posterior: PosteriorDraws, values: Array) -> xr.Dataset:
    """Coordinates of points, shape (M, K), and over whom answers are averaged."""
    return xr.Dataset(
        coords={
            "point": np.arange(len(values)),
            "action": list(posterior.actions),
            "value": (("action", "point"), decoded_table(values, posterior.categories).T),
        },
        attrs={"outcome": posterior.outcome_name, **posterior.averages.attrs},
    )


def shares_out_of_range(prediction: Prediction, draws: Array) -> dict[str, float]:
    """Share of draws of the mean that are impossible, such as probabilities outside [0, 1]."""
    return {name: float(out.mean()) for name, out in prediction.law.out_of_range(draws).items()}


def prediction_of(
    posterior: PosteriorDraws, averages: Standardisation | None = None, periods: int | None = None
) -> Prediction:
    """Predictions in the population asked about, or another, without validation or labels.

    After ``periods`` they are at actions of :func:`after_periods`.
    """
    scale_of = partial(draws_of_scale, posterior.tree)
    own = posterior._prediction
    own = own if periods is None else prediction_after(own, periods)
    return in_population(own, averages or posterior.averages, scale_of)


def predictions_of_rows(
    posterior: PosteriorDraws, table: nw.DataFrame[Any]
) -> tuple[Standardisation, Iterator[tuple[RowsAlike, Prediction]]]:
    """Predictions at the covariates and groups of each row of a table, where it has columns.

    Returns
    -------
    averages : Standardisation
        Of all rows together.
    parts : iterator
        Rows, and predictions for them at actions that their ``values`` follow.
    """
    known = posterior.averages
    averages, parts = of_rows(posterior.tree, known, posterior.terms.covariates, table)

    def prediction_for(own: RowsAlike) -> Prediction:
        view = known._replace(population=own.population)
        if not own.values.shape[1]:
            return prediction_of(posterior, view)
        # Of a population only its groups that are not in the data matter to rows with all values.
        return replace(prediction_of(posterior, view._replace(over=None)), population=None)

    return averages, ((own, prediction_for(own)) for own in parts)


def fitted_prediction(posterior: PosteriorDraws) -> Prediction:
    """Predictions in the population of the fit, whatever population is asked about."""
    return posterior._prediction


def support_of(posterior: PosteriorDraws) -> FitSupport:
    """Support of effects under a posterior, with its reference rows.

    Examples
    --------
    >>> support_of(posterior).verdict(np.array([[0.1, 0.2]]), np.array([True, True])).supported
    array([ True])
    """
    return posterior._support
