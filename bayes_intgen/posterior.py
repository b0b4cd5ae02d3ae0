"""The posterior: effects and mechanisms from draws, in labelled arrays.

Every draw that leaves the library has dims (chain, draw, ...), what is drawn last.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen import serialise
from bayes_intgen.bases import Array
from bayes_intgen.categories import Categories, Label, decoded_table
from bayes_intgen.certificates import certify
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.errors import PACKAGE, DataError, ModelError, SavedFitError, SupportWarning
from bayes_intgen.graph import parents_of
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.noise import ConstantSpread, Spread
from bayes_intgen.pointwise import log_prior, rows_evaluated
from bayes_intgen.prediction import Prediction
from bayes_intgen.questions import checked_mask, checked_points, named_points
from bayes_intgen.rows import Rows
from bayes_intgen.streams import generator
from bayes_intgen.support import ReferenceRows, Verdict, needs, words_of_verdict
from bayes_intgen.term_requirements import needs_of_terms, parents_of_terms

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayes_intgen.checks import Check
    from bayes_intgen.program import Program
    from bayes_intgen.summary import Report


class Posterior:
    """Draws from the posterior of a model, with what is needed to predict from them.

    Made by :func:`bayes_intgen.fit` and :func:`bayes_intgen.load`. The tree is all there
    is: a posterior built from it again is the same.

    Parameters
    ----------
    tree : DataTree
        As :func:`bayes_intgen.tree.assemble` makes it.

    Attributes
    ----------
    tree : DataTree
        Groups ``posterior`` (hyperparameters and intercept), ``sample_stats`` and
        ``constant_data`` in ArviZ's schema, ``coefficients``, ``noise``, and ``support``: a few
        rows of each regime.
    model : Model
    terms : Decomposition
    spread : Spread or ConstantSpread
        Relative variance of the noise, as an estimate; group ``noise`` has draws of it.
    """

    def __init__(self, tree: xr.DataTree) -> None:
        self.tree = tree
        self.model: Model = serialise.loads(tree.attrs["model"])
        self.terms: Decomposition = serialise.loads(tree.attrs["terms"])
        self.spread: Spread | ConstantSpread = serialise.loads(tree.attrs["spread"])

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions."""
        return self.terms.names

    @property
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for those that have none."""
        return self.terms.categories

    @cached_property
    def default_point(self) -> Array:
        """Values of all actions at which pictures hold those that they do not vary, shape (K,).

        The medians, or the levels nearest to these, where the joint effect is supported there;
        else the nearest row of the data where it is. The medians where no row supports it.
        Levels by their codes.

        Examples
        --------
        >>> posterior.default_point.shape
        (2,)
        """
        from bayes_intgen.defaults import default_point

        return default_point(self)

    def joint_effect(self, points: Any) -> xr.DataArray:
        """Draws of the mean outcome with all actions set, E[Y | do(points)].

        Parameters
        ----------
        points : array_like, shape (M, K), table, dict or list of dicts
            In the actions' own units, levels by their names: a table with a column for each
            action, or ``{"dose": 3, "drug": "on"}`` with a value for each, or several of these.

        Returns
        -------
        DataArray, dims (chain, draw, point)
            In the outcome's units. Each action's values, or the names of its levels, are
            coordinates along ``point``, and so is ``supported``: whether rows near each point
            identify the answer there.

        Raises
        ------
        PointsError
            On wrong shapes, missing columns, unknown levels, or cells that are not finite.

        Warns
        -----
        SupportWarning
            Where points are not supported; it says how many, which actions, and why.

        Examples
        --------
        >>> posterior.joint_effect([[0.1, 0.2]]).dims
        ('chain', 'draw', 'point')
        """
        return self.effect(points, self.actions)

    def effect(self, points: Any, intervened: Sequence[str]) -> xr.DataArray:
        """Draws of E[Y | do(a_S), a_rest]: some actions set, the others observed.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column an action
            Values of all actions, whether set or observed.
        intervened : sequence of str
            The set S of actions that are set from outside; empty for none.

        Returns
        -------
        DataArray, dims (chain, draw, point)

        Raises
        ------
        PointsError
            As :meth:`joint_effect`, and where ``intervened`` names no action.

        Warns
        -----
        SupportWarning
            As :meth:`joint_effect`, and where the regimes in the data do not identify the
            effect.

        Examples
        --------
        >>> posterior.effect([[0.1, 0.2]], intervened=["red"]).sizes["point"]
        1
        """
        values, chosen, verdict = self._question(points, intervened)
        out = self.prediction.mean(values, chosen)
        return self.along_points(out, values, intervened, "effect", verdict)

    def outcome(
        self, points: Any, intervened: Sequence[str] | None = None, *, seed: int = 0
    ) -> xr.DataArray:
        """Draws of the outcome itself, Y given do(a_S) and a_rest.

        The mean is that of :meth:`effect`. The variance is identified as the mean is, being
        affine in the mask too; every draw has a variance function of its own. The noise has the
        shape of the standardised residuals (Student-t where the model says so).

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column an action
        intervened : sequence of str, optional
            The set S of actions that are set from outside; all of them where left out.
        seed : int
            The same seed gives the same draws.

        Returns
        -------
        DataArray, dims (chain, draw, point)
            In the outcome's units; quantiles of it over chain and draw are predictive ones.

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
        names = self.actions if intervened is None else intervened
        values, chosen, verdict = self._question(points, names)
        out = self.prediction.draw(values, chosen, generator(seed, "outcome"))
        return self.along_points(out, values, names, "outcome", verdict)

    def support(self, points: Any, intervened: Sequence[str] | None = None) -> xr.Dataset:
        """Whether rows near points identify the effect there, and how far from them they lie.

        The same as :meth:`RegimeData.support`, with the graph of the model, from a sample of
        the rows that the fit keeps.

        Raises
        ------
        PointsError
            As :meth:`effect`.
        SavedFitError
            Where the fit was saved by a version that kept no rows.

        Examples
        --------
        >>> posterior.support([[0.1, 0.2]]).supported.item()
        True
        """
        if self.seen is None:
            raise SavedFitError(
                "the fit was saved by a version that kept no rows of the data; use data.support"
            )
        values = checked_points(points, self.actions, self.categories)
        mask = checked_mask(self.actions if intervened is None else intervened, self.actions)
        verdict = self.verdict(values, mask)
        assert verdict is not None  # it is None only without rows
        parents = self._parents or parents_of_terms(self.terms)
        return self.seen.described(values, tuple(mask.tolist()), parents, verdict)

    def verdict(self, values: Array, mask: NDArray[np.bool_]) -> Verdict | None:
        """The conditions of support at checked points, shape (M, K); None without rows.

        Examples
        --------
        >>> posterior.verdict(np.array([[0.1, 0.2]]), np.array([True, True])).supported
        array([ True])
        """
        if self.seen is None:
            return None
        target, parents = tuple(mask.tolist()), self._parents
        wanted = (
            needs_of_terms(self.terms, self.seen.masks, target)
            if parents is None
            else needs(parents, self.seen.masks, target)
        )
        return self.seen.verdict(values, target, wanted, parents)

    def linked(self, values: Array, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether the regimes reach the values of all actions together, shape (M,).

        True of a regression, and of a fit that was saved without rows.

        Examples
        --------
        >>> posterior.linked(np.array([[0.1, 0.2]]), np.array([True, True]))
        array([ True])
        """
        if self.seen is None or self._parents is None:
            return np.ones(len(values), dtype=bool)
        return self.seen.linked(values, tuple(mask.tolist()), self._parents)

    @cached_property
    def _parents(self) -> list[list[int]] | None:
        """Actions on which each bias may depend; None for a regression."""
        if isinstance(self.model, AdditiveModel):
            # Terms that a fit left out are no evidence that an action moves no other.
            return parents_of(self.actions, self.model.graph)
        if any(term.role == "regression" for term in self.terms.terms):
            return None
        return parents_of_terms(self.terms)

    def with_log_likelihood(
        self, data: Rows, *, rows: int | None = 2000, seed: int = 0
    ) -> xr.DataTree:
        """The tree with what ArviZ needs to compare models and to check them.

        ``az.loo``, ``az.compare`` and ``az.plot_loo_pit`` use the rows' densities and
        predictive draws, ``az.psense_summary`` also the prior's: that of the hyperparameters,
        over which the coefficients are integrated.

        Parameters
        ----------
        data : Observations, StreamedData or DistributedData
            The data that were fitted; of rows that are not in memory, the sample that is.
        rows : int or None
            At most so many rows, drawn at random; None for all. To compare models, take the
            same rows: the same seed draws the same ones.
        seed : int

        Returns
        -------
        DataTree
            That of the fit with groups ``log_likelihood``, ``log_prior``,
            ``posterior_predictive`` and ``observed_data``.

        Raises
        ------
        DataError
            Where the data have other actions, or ``rows`` is not positive.

        Examples
        --------
        >>> import arviz as az
        >>> bool(az.loo(posterior.with_log_likelihood(data, rows=200)).elpd < 0)
        True
        """
        self._refuse_other_actions(data)
        if rows is not None and rows < 1:
            raise DataError(f"rows must be positive, or None for all, not {rows}")
        data = data.held
        chosen, log_density, drawn = rows_evaluated(self.prediction, data, rows, seed)
        fixed = self.tree["constant_data"]["fixed_scale_of"].to_numpy()
        hyperparameters = self.tree["posterior"].to_dataset()
        dims = ("chain", "draw", "row")
        coords = {**self._draw_coords(), "row": chosen}
        more = {
            "/log_likelihood": xr.Dataset({"outcome": (dims, log_density)}, coords),
            "/log_prior": log_prior(self.model, self.terms.without(fixed), hyperparameters),
            "/posterior_predictive": xr.Dataset({"outcome": (dims, drawn)}, coords),
            "/observed_data": xr.Dataset(
                {"outcome": ("row", data.outcome[chosen])}, {"row": chosen}
            ),
        }
        old = {node.path: node.to_dataset(inherit=False) for node in self.tree.subtree}
        return xr.DataTree.from_dict({**old, **more})

    def program(self, data: Rows) -> "Program":
        """The generative NumPyro program whose posterior was sampled.

        It has the terms of this fit (those that joined included), the scales that were fixed in
        units of ``noise_sd``, the variance function, and the prior medians that the data moved.
        Called without arguments it is conditioned on the data's outcome, for MCMC; called with
        ``outcome=None`` it draws outcomes, with a normal (or Student-t) law.

        Parameters
        ----------
        data : Observations
            The data that were fitted.

        Returns
        -------
        Program

        Raises
        ------
        DataError
            Where the data have other actions, or their rows are not all in memory.
        SavedFitError
            Where the fit was saved by a version that did not keep the units of fixed scales.

        Notes
        -----
        The density of the hyperparameters, with the coefficients integrated out, is that of the
        fit up to a constant; run it under ``jax.enable_x64(True)`` for more than six digits.

        Examples
        --------
        >>> import jax
        >>> from numpyro.infer import Predictive
        >>> drawn = Predictive(posterior.program(data), num_samples=3)(jax.random.key(0), None)
        >>> drawn["outcome"].shape == (3, len(data))
        True
        """
        from bayes_intgen.program import Program

        self._refuse_other_actions(data)
        rows = data.held
        if rows is not data:
            raise DataError(
                "a program needs every row in memory; read the rows with RegimeData.from_frame"
            )
        constant = self.tree["constant_data"]
        scales = constant["fixed_scale"].to_series().to_dict()
        if scales and "pilot_noise_sd" not in constant:
            raise SavedFitError(
                "the fit was saved by a version that did not keep the units of fixed scales; "
                "fit again"
            )
        fixed = {name: scale / float(constant["pilot_noise_sd"]) for name, scale in scales.items()}
        return Program.of(self.model, self.terms, fixed, self.spread, rows)

    def _refuse_other_actions(self, data: Rows) -> None:
        if data.names != self.actions:
            raise DataError(
                f"the data have actions {', '.join(map(repr, data.names))}, the posterior has "
                f"{', '.join(map(repr, self.actions))}; give the data that were fitted"
            )

    def asked(self, points: Any, intervened: Sequence[str]) -> tuple[Array, NDArray[np.bool_]]:
        """Points and mask as arrays, shape (M, K), for :attr:`prediction`.

        Checked as :meth:`effect` checks them, with its errors and warnings.

        Examples
        --------
        >>> posterior.asked([[0.1, 0.2]], ["red"])[1]
        array([[ True, False]])
        """
        values, chosen, _ = self._question(points, intervened)
        return values, chosen

    def _question(
        self, points: Any, intervened: Sequence[str]
    ) -> tuple[Array, NDArray[np.bool_], Verdict | None]:
        """Checked points, their mask, shape (M, K), and the conditions of support there."""
        values = checked_points(points, self.actions, self.categories)
        mask = checked_mask(intervened, self.actions)
        verdict = self.verdict(values, mask)
        self._warn_of_support(values, mask, verdict)
        return values, np.broadcast_to(mask, values.shape), verdict

    def _warn_of_support(
        self, values: Array, mask: NDArray[np.bool_], verdict: Verdict | None
    ) -> None:
        """One warning of what is not identified: everywhere, or at some of the points."""
        constant = self.tree["constant_data"]
        masks = [tuple(row) for row in (constant["intervened"].to_numpy() > 0).tolist()]
        target = tuple(mask.tolist())
        if not self.model.identifies(masks, target):
            rows = constant["rows"].to_numpy().tolist()
            intervened = [
                name for name, was_set in zip(self.actions, target, strict=True) if was_set
            ]
            certificate = certify(self.actions, dict(zip(masks, rows, strict=True)), intervened)
            tests = "; lift tests tell how it changes, not its level" * ("lift_of" in constant)
            message = f"{certificate} The answer rests on the prior{tests}."
        elif verdict is None:
            self._warn_of_range(values)
            return
        else:
            said = words_of_verdict(
                self.actions, self.terms.coordinates, self.categories, values, target, verdict
            )
            message = f"{said}; posterior.support(points) has the details" if said else ""
        if message:
            warnings.warn(message, SupportWarning, skip_file_prefixes=(PACKAGE,))

    def along_points(
        self,
        draws: Array,
        values: Array,
        intervened: Sequence[str],
        name: str,
        verdict: Verdict | None = None,
    ) -> xr.DataArray:
        """Label draws, shape (chains, draws, M), at checked points, shape (M, K).

        With a verdict, the coordinate ``supported`` is among the labels.

        Examples
        --------
        >>> posterior.along_points(np.zeros((4, 250, 1)), np.zeros((1, 2)), ["red"], "effect").dims
        ('chain', 'draw', 'point')
        """
        return xr.DataArray(
            draws,
            dims=("chain", "draw", "point"),
            coords={
                **self._draw_coords(),
                **self._point_coords(values),
                **({} if verdict is None else {"supported": ("point", verdict.supported)}),
            },
            name=name,
            attrs={"intervened": ", ".join(intervened), "outcome": self.outcome_name},
        )

    def mechanisms(self, grid: Any) -> xr.Dataset:
        """Draws of the contribution of each action along a grid.

        Parameters
        ----------
        grid : array_like, shape (M, K), or data frame with a column an action
            Each action's contribution is evaluated along its own column. Where the graph
            is unknown or gives parents, its confounded contribution depends on the other
            columns of the same row too.

        Returns
        -------
        Dataset, dims (chain, draw, action, point)
            ``unconfounded``: phi_k(a_k), averaging zero over the data's rows.
            ``confounded``: phi_k + delta_k, the contribution where the action was not set.
            In the outcome's units; coordinate ``value`` (action, point) holds the grid.

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
        if any(term.role == "regression" for term in self.terms.terms):
            raise ModelError(
                f"{type(self.model).__name__} has no mechanisms: only models.additive() breaks "
                "the outcome down into contributions"
            )
        values = self._points(grid)
        unconfounded, bias = self.prediction.contributions(values)
        dims = ("chain", "draw", "action", "point")
        return xr.Dataset(
            {"unconfounded": (dims, unconfounded), "confounded": (dims, unconfounded + bias)},
            coords={
                **self._draw_coords(),
                "action": list(self.actions),
                "point": np.arange(len(values)),
                "value": (("action", "point"), decoded_table(values, self.categories).T),
            },
        )

    def contraction(
        self, points: Any, intervened: Sequence[str] | None = None, *, seed: int = 0
    ) -> xr.Dataset:
        """Widths of the posterior over those of the prior: what came from the data.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column an action
        intervened : sequence of str, optional
            The actions that are set in the effect; all of them where left out.
        seed : int
            Of the draws from the prior.

        Returns
        -------
        Dataset
            ``contraction`` (mechanism, action, point), for mechanisms ``unconfounded`` and
            ``confounded``, and ``effect_contraction`` (point): posterior over prior width, one
            where the data said nothing, near zero where they said all. ``prior``,
            ``posterior``, ``effect_prior`` and ``effect_posterior`` are the widths, in the
            outcome's units: half of the central 68% interval, a normal law's standard
            deviation. A plain regression has no mechanisms, only effects.

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
        >>> bool((posterior.contraction([[0.1, 0.2]]).contraction < 0.5).all())
        True
        """
        from bayes_intgen.contraction import contraction

        names = self.actions if intervened is None else intervened
        values, _ = self.asked(points, names)
        return contraction(self, values, names, seed)

    def sensitivity(
        self, points: Any, rho: float | Sequence[float], *, level: float = 0.9
    ) -> xr.Dataset:
        """How far the joint effect could move if hidden causes were correlated.

        `bayes_intgen.sensitivity` derives the bound, and says what it assumes.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column an action
        rho : float or sequence of float
            Correlations up to which any two hidden causes might go, from 0 to below 1.
        level : float
            Probability of the central band of the effect that is widened.

        Returns
        -------
        Dataset
            ``effect`` (point): the posterior mean. ``above`` and ``below`` (rho, point): how far
            it may lie above the truth and below it, averaged over draws. ``low`` and ``high``
            (rho, point): ends of the band, each draw moved by its bound; at rho = 0 the
            credible band of the effect. In the outcome's units.

        Raises
        ------
        PointsError
            As :meth:`effect`, and where ``rho`` is no correlation.
        ModelError
            Where the model is a regression, not additive.

        Warns
        -----
        SupportWarning
            As :meth:`effect`.

        Examples
        --------
        >>> moved = posterior.sensitivity([[0.1, 0.2]], [0, 0.2, 0.4])
        >>> bool((moved.high - moved.low).diff("rho").min() > 0)
        True
        """
        from bayes_intgen.sensitivity import sensitivity

        values, _ = self.asked(points, self.actions)
        return sensitivity(self, values, rho, level)

    def plot_contraction(self, at: Mapping[str, Label] | None = None) -> "Figure":
        """Draw prior and posterior of every mechanism along its action.

        Parameters
        ----------
        at : mapping from action to value, optional
            Where the other actions are held; at :attr:`default_point` where left out.

        Returns
        -------
        matplotlib Figure
            Unconfounded contributions above, confounded ones below, a column an action.

        Raises
        ------
        PointsError
            Where ``at`` names no action.
        ModelError
            Where the model is a regression, not additive.

        Examples
        --------
        >>> len(posterior.plot_contraction().axes)
        4
        """
        from bayes_intgen.plots import plot_contraction

        return plot_contraction(self, at)

    def plot_sensitivity(
        self,
        points: Any = None,
        rho: Sequence[float] = tuple(np.linspace(0, 0.5, 26).tolist()),
        *,
        level: float = 0.9,
    ) -> "Figure":
        """Draw how far the joint effect could move against the correlation of hidden causes.

        Parameters
        ----------
        points, rho, level
            As of :meth:`sensitivity`; a panel a point. At :attr:`default_point` where no points
            are given.

        Returns
        -------
        matplotlib Figure

        Examples
        --------
        >>> posterior.plot_sensitivity([[0.1, 0.2]]).axes[0].get_title()
        'red = 0.1, green = 0.2'
        """
        from bayes_intgen.plots import plot_sensitivity

        return plot_sensitivity(self, points, rho, level=level)

    def plot_joint_effect(
        self,
        action: str,
        at: Mapping[str, Label] | None = None,
        *,
        levels: Sequence[float] = (0.5, 0.9),
        predictive: float | None = None,
        size: int = 100,
        color: str = "C0",
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Draw the joint effect along one action as a line with credible bands.

        Stretches that no rows are near enough to are hatched.

        Parameters
        ----------
        action : str
            Runs over its observed range, or over its levels.
        at : mapping from action to value, optional
            Where the other actions are held; at :attr:`default_point` where left out.
        levels : sequence of float
            Probabilities of the central bands.
        predictive : float, optional
            Probability of a central band of the outcome itself, drawn as dotted lines.
        size : int
            Number of points along the line.
        color : str
        ax : matplotlib Axes, optional
            A new figure where left out.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> posterior.plot_joint_effect("red", at={"green": 0.2}).get_xlabel()
        'red'
        """
        from bayes_intgen.plots import plot_joint_effect

        return plot_joint_effect(
            self,
            action,
            at,
            levels=levels,
            predictive=predictive,
            size=size,
            color=color,
            ax=ax,
        )

    def report(
        self, path: "str | os.PathLike[str]", *, checks: object = None, level: float = 0.9
    ) -> None:
        """Write one HTML file with effects, mechanisms, diagnostics, and an explorer.

        The file needs nothing else, neither a network nor this package. In its explorer a
        slider sets each action, and the page computes the joint effect and its bands from the
        draws.

        Parameters
        ----------
        path : path
        checks : object, optional
            What :func:`bayes_intgen.check` found; its ``str`` is shown.
        level : float
            Probability of bands.

        Raises
        ------
        ModelError
            Where the model is a regression: it has no mechanisms to report.
        PointsError
            Where ``level`` is no probability.

        Examples
        --------
        >>> posterior.report(folder / "report.html")
        """
        from bayes_intgen.report import write_report

        write_report(self, path, checks=checks, level=level)

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write everything needed to predict again to one netCDF file.

        The file appears whole or not at all; :func:`bayes_intgen.load` reads it.

        Examples
        --------
        >>> posterior.save(folder / "fit.nc")
        """
        from bayes_intgen.storage import save

        save(self, path)

    @cached_property
    def prediction(self) -> Prediction:
        """The same in arrays, without checks or labels."""
        return Prediction.of(self.tree, self.terms, self.spread)

    @cached_property
    def seen(self) -> ReferenceRows | None:
        """What each regime saw; None where the fit was saved without it."""
        if "support" not in self.tree.children:
            return None
        return ReferenceRows.of_dataset(
            self.tree["support"].to_dataset(), self.terms.coordinates, self.categories
        )

    @property
    def outcome_name(self) -> str:
        """Name of the outcome."""
        return str(self.tree.attrs["outcome"])

    def _draw_coords(self) -> dict[str, Any]:
        data = self.tree["posterior"].dataset
        return {"chain": data["chain"].to_numpy(), "draw": data["draw"].to_numpy()}

    def _point_coords(self, values: Array) -> dict[str, Any]:
        taken = {"chain", "draw", "point", "supported"}
        named = {
            name: ("point", column)
            for name, column in named_points(values, self.actions, self.categories).items()
            if name not in taken
        }
        return {"point": np.arange(len(values)), **named}

    def _points(self, points: Any) -> Array:
        """Checked points, shape (M, K), with a warning for what lies outside the data."""
        values = checked_points(points, self.actions, self.categories)
        self._warn_of_range(values)
        return values

    def _warn_of_range(self, values: Array) -> None:
        for k, name in enumerate(self.actions):
            seen = self.terms.coordinates[k]
            outside = int(((values[:, k] < seen.low) | (values[:, k] > seen.high)).sum())
            if outside:
                warnings.warn(
                    f"{outside} of {len(values)} points set {name!r} outside its observed range, "
                    f"{seen.low:g} to {seen.high:g}: answers there are extrapolation",
                    SupportWarning,
                    skip_file_prefixes=(PACKAGE,),
                )

    def with_check(self, check: "Check") -> "Posterior":
        """The same posterior with the answer of :func:`bayes_intgen.check`, for its report.

        Parameters
        ----------
        check : Check
            Of the data that were fitted.

        Returns
        -------
        Posterior
            It prints the answer and saves it; predictions are the same.

        Raises
        ------
        DataError
            Where the check is of other actions or another outcome.

        Examples
        --------
        >>> checked = posterior.with_check(bi.check(data, held_out=0, progress=False))
        >>> checked.check.violated
        False
        """
        names = tuple(map(str, check.table["action"].to_numpy()))
        if (names, check.table.attrs["outcome"]) != (self.actions, self.outcome_name):
            raise DataError(
                f"the check is of {check.table.attrs['outcome']!r} given "
                f"{', '.join(map(repr, names))}, not of the data that were fitted"
            )
        old = {node.path: node.to_dataset(inherit=False) for node in self.tree.subtree}
        return Posterior(xr.DataTree.from_dict({**old, **check.to_datasets()}))

    @property
    def check(self) -> "Check | None":
        """What :meth:`with_check` kept; None where nothing was."""
        from bayes_intgen.checks import Check

        return Check.of_tree(self.tree) if "check" in self.tree.children else None

    @cached_property
    def _report(self) -> "Report":
        from bayes_intgen.summary import report_identification

        return report_identification(self)

    def __repr__(self) -> str:
        return str(self._report)

    def _repr_html_(self) -> str:
        return self._report._repr_html_()
