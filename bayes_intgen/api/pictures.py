"""Pictures of a posterior."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_intgen._arguments import probability
from bayes_intgen._typing import Array
from bayes_intgen.assess.contraction import mechanism_curves
from bayes_intgen.assess.sensitivity import sensitivity
from bayes_intgen.basis.categories import Label
from bayes_intgen.data.rows import Rows
from bayes_intgen.plots.bands import LEVELS
from bayes_intgen.plots.effect import plot_bias, plot_contraction, plot_effect, plot_sensitivity
from bayes_intgen.plots.graph import plot_graph
from bayes_intgen.plots.interaction import plot_interaction
from bayes_intgen.posterior.curves import effect_along
from bayes_intgen.posterior.defaults import default_point
from bayes_intgen.posterior.draws import support_of
from bayes_intgen.posterior.fitted_rows import FittedRows
from bayes_intgen.posterior.surfaces import bias_of_rows, interaction_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Pictures(FittedRows):
    """Methods of a posterior that draw it."""

    @cached_property
    def default_point(self) -> Array:
        """Usual values of the actions, shape (K,).

        Decisions take them as the baseline, sliders start there, and plots fix actions at them: the
        supported observational row nearest to the medians of these rows, and to their most frequent
        levels. Levels are coded.

        Examples
        --------
        >>> posterior.default_point.shape
        (2,)
        """
        point = default_point(self)
        # It is kept, so that a change would be one of all later answers.
        point.setflags(write=False)
        return point

    def plot_joint_effect(
        self,
        action: str,
        at: Mapping[str, Label] | None = None,
        *,
        levels: Sequence[float] = LEVELS,
        predictive: float | None = None,
        size: int = 100,
        color: str = "C0",
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Plot the joint effect along one action, with credible bands.

        Stretches that the rows do not support are pale: between tested levels, or, hatched, outside
        the rows. The title says over whom the effect is averaged.

        Parameters
        ----------
        action : str
            Action of the horizontal axis, which shows its observed range or its levels.
        at : mapping from action to value, optional
            Values of other actions; those of :attr:`default_point` by default.
        levels : sequence of float
            Probabilities of the credible bands.
        predictive : float, optional
            Probability of a predictive band of the outcome, shown by dotted lines.
        size : int
            Number of points along the line.
        color : str
        ax : matplotlib Axes, optional
            By default in a new figure, with a legend. Axes of your own have none until you call
            ``ax.legend()``.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> posterior.plot_joint_effect("red", at={"green": 0.2}).get_xlabel()
        'red'
        """
        curve = effect_along(self, action, self.default_point, at, size=size, predictive=predictive)
        return plot_effect(curve, levels, color, ax)

    def plot_interaction(
        self,
        first: str,
        second: str,
        *,
        size: int = 40,
    ) -> "Figure":
        """Plot the interaction of two actions: posterior mean, and half its 90% interval.

        The interaction psi(a_j, a_k) is what the joint effect has beyond the contributions of
        the two actions alone, in every regime. Its average over the rows' values of either action
        is zero. Points are pale where the joint effect is not supported, the other actions at
        :attr:`default_point`, or where no regime has rows near both values: between tested levels,
        or, hatched, outside the rows. The title says over
        whom effects are averaged; interactions of actions are the same for everyone.

        Parameters
        ----------
        first, second : str
            Actions of the horizontal and the vertical axis, which show their observed ranges or
            levels.
        size : int
            Number of points along each axis of numbers.

        Returns
        -------
        matplotlib Figure
            The posterior mean, and half the width of the central 90% interval, with colour bars in
            the outcome's units.

        Raises
        ------
        PointsError
            If an action is unknown or named twice, or if the fit does not have the interaction.

        Examples
        --------
        >>> model = bi.models.additive(interactions=[("red", "green")])
        >>> interacting = bi.fit(data, model, draws=250, progress=False)
        >>> interacting.plot_interaction("red", "green").axes[0].get_xlabel()
        'red'
        """
        surface = interaction_surface(self, first, second, self.default_point, size=size)
        return plot_interaction(surface)

    def plot_bias(self, action: str, data: Rows, *, ax: "Axes | None" = None) -> "Axes":
        """Plot the confounding bias of an action over the action and its control variable.

        A dot is a row in which the action was not set; its colour is the posterior mean of the bias
        there. The control variable is the standardised residual of the action given its likely
        observed causes: if they only shift and stretch the action, the bias is a function of both
        coordinates.

        Parameters
        ----------
        action : str
        data : Observations, StreamedData or DistributedData
            The data of the fit, of which at most 5,000 rows are drawn.
        ax : matplotlib Axes, optional
            By default in a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        PointsError
            If the action is unknown, or its bias has no control variable.

        Examples
        --------
        >>> posterior.plot_bias("green", data).get_ylabel()
        'control variable of green'
        """
        bias = bias_of_rows(self, data, action)
        return plot_bias(bias, self.categories[self.actions.index(action)], ax)

    def plot_graph(self, *, threshold: float = 0.1, ax: "Axes | None" = None) -> "Axes":
        """Plot the graph over the actions: an arrow from each action to those that it moves.

        Solid arrows are likely, dashed ones are not; widths and numbers are probabilities. Pairs
        of which no rows show whether one moves the other are joined by a dotted line.

        Parameters
        ----------
        threshold : float
            Probability from which an edge is shown.
        ax : matplotlib Axes, optional
            By default in a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ModelError
            As :attr:`graph`, and if ``threshold`` is not a probability.

        Examples
        --------
        >>> sorted(text.get_text() for text in posterior.plot_graph().texts)[-2:]
        ['green', 'red']
        """
        return plot_graph(self.graph, threshold=probability(threshold, "threshold"), ax=ax)

    def plot_contraction(self, at: Mapping[str, Label] | None = None) -> "Figure":
        """Plot prior and posterior of every mechanism along its action.

        Parameters
        ----------
        at : mapping from action to value, optional
            Values of other actions; those of :attr:`default_point` by default.

        Returns
        -------
        matplotlib Figure
            Contributions where the action is set above, where it is observed below, with bands of
            50% and 90%; a column per action.

        Raises
        ------
        PointsError, ModelError
            If ``at`` names an unknown action, or the model is a regression.

        Examples
        --------
        >>> len(posterior.plot_contraction().axes)
        4
        """
        return plot_contraction(mechanism_curves(self, self.default_point, at))

    def plot_sensitivity(
        self,
        points: Any = None,
        rho: Sequence[float] = tuple(np.linspace(0, 0.5, 26).tolist()),
        *,
        level: float = 0.9,
    ) -> "Figure":
        """Plot bounds on the joint effect against the correlation of hidden causes.

        Parameters
        ----------
        points, rho, level
            As in :meth:`Posterior.sensitivity`; one panel per point, by default
            :attr:`default_point`.

        Returns
        -------
        matplotlib Figure

        Examples
        --------
        >>> posterior.plot_sensitivity([[0.1, 0.2]]).axes[0].get_title()
        'red = 0.1, green = 0.2'
        """
        support, default = support_of(self), self.default_point[None]
        query = support.query_at(default) if points is None else support.query(points)
        moved, independent = (sensitivity(self, query, steps, 0.0, level) for steps in (rho, 0.0))
        return plot_sensitivity(moved, independent)
