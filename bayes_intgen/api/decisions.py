"""Decisions from a posterior: contrasts, ratios, slopes and best plans."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_intgen.api.pictures import Pictures

# Methods import what decides: most questions to a saved fit are about effects.
if TYPE_CHECKING:
    from bayes_intgen.decide.best import Plan
    from bayes_intgen.decide.contrasts import Contrast
    from bayes_intgen.decide.decision import Decision, Objective


class Decisions(Pictures):
    """Methods of a posterior that compare and choose plans."""

    def contrast(
        self,
        to: Any,
        start: Any,
        *,
        intervened: Sequence[str] | None = None,
        given: Mapping[str, Any] | None = None,
        population: Any = None,
    ) -> "Contrast":
        """Draws of the change of an effect between points, E[Y | do(to)] - E[Y | do(start)].

        Parameters
        ----------
        to, start : points as in :meth:`joint_effect`
            One point, or as many as the other has.
        intervened : sequence of str, optional
            Actions that are set; all by default.
        given, population
            As in :meth:`joint_effect`.

        Returns
        -------
        Contrast, dims (chain, draw, point)
            A DataArray in the outcome's units, with a method ``summary``. Coordinates along
            ``point``: the index of a data frame, the values of each action and, after ``from``,
            those at the start, and ``supported``, whether both ends are.

        Raises
        ------
        PointsError
            As :meth:`effect`, and if the numbers of points do not match.

        Warns
        -----
        SupportWarning
            As :meth:`effect`.

        Examples
        --------
        >>> change = posterior.contrast({"red": 0.5, "green": 0.2}, {"red": 0.0, "green": 0.2})
        >>> bool(change.summary().low > 0)
        True
        """
        from bayes_intgen.decide.contrasts import contrast

        view = self.given(given).over(population)
        return contrast(view, to, start, intervened)

    def ratio(
        self,
        to: Any,
        start: Any,
        *,
        intervened: Sequence[str] | None = None,
    ) -> xr.DataArray:
        """Draws of the relative effect between points, E[Y | do(to)] / E[Y | do(start)].

        Parameters
        ----------
        to, start, intervened
            As in :meth:`contrast`; the ratio is of averages over the population.

        Returns
        -------
        DataArray, dims (chain, draw, point)
            1.2 is an increase by 20%. Coordinates as of :meth:`contrast`.

        Raises
        ------
        PointsError
            As :meth:`contrast`, and where the mean at the start is too near to zero: within four
            posterior standard deviations.

        Warns
        -----
        SupportWarning
            As :meth:`effect`.

        Examples
        --------
        >>> per_cent = 100 * (posterior.ratio([[1.0, 0.5]], [[0.5, 0.5]]) - 1)
        >>> bool(per_cent.mean() > 0)
        True
        """
        from bayes_intgen.decide.contrasts import ratio

        return ratio(self, to, start, intervened)

    def slope(
        self,
        action: str,
        at: Any,
        *,
        intervened: Sequence[str] | None = None,
    ) -> "Contrast":
        """Draws of the derivative of an effect with respect to one action.

        Parameters
        ----------
        action : str
        at : points as in :meth:`joint_effect`
        intervened
            As in :meth:`contrast`.

        Returns
        -------
        Contrast, dims (chain, draw, point)
            In the outcome's units per unit of the action; one-sided at the ends of the observed
            range. At a value that many rows share, such as no spend, the derivative of the smooth
            function beside it, without the step there. At such a zero it is known badly unless
            there are rows just above; :meth:`contrast` compares zero with a usual value.

        Raises
        ------
        PointsError
            As :meth:`effect`, and for an action with levels.

        Warns
        -----
        SupportWarning
            As :meth:`effect`.

        Examples
        --------
        >>> bool(posterior.slope("red", [[0.0, 0.0]]).summary().low > 0)
        True
        """
        from bayes_intgen.decide.contrasts import slope

        return slope(self, action, at, intervened)

    def best(
        self,
        decision: "Decision",
        objective: "Objective" = "mean",
        *,
        beyond_support: bool = False,
    ) -> "Plan":
        """Find the values of all actions with the best joint effect.

        Parameters
        ----------
        decision : Decision
            Costs, budget, bounds and baseline.
        objective : "mean", CVaR or Quantile
            Of the draws of E[Y | do(plan)].
        beyond_support : bool
            Whether to consider plans that the rows do not support.

        Returns
        -------
        Plan
            It prints as a few lines.

        Raises
        ------
        ModelError
            On unknown actions, and if the budget or the support allows no plan.

        Warns
        -----
        SupportWarning
            If the baseline is not supported.

        Notes
        -----
        The objective need not be concave. The posterior mean is a sum over components of
        interacting actions (in a multiplicative model all actions form one): dynamic programming
        over a grid finds its global optimum there, and exchanges between actions refine it. A
        measure of risk is enumerated on a grid with few actions, and searched from several starts
        with more.

        Examples
        --------
        >>> plan = posterior.best(bi.Decision(cost={"red": 1.0, "green": 1.0}, budget=1.0))
        >>> plan.cost <= 1.0 and plan.probability_better > 0.9
        True
        """
        from bayes_intgen.decide.best import Planning

        return Planning.of(self, decision, beyond_support).best(objective)

    def frontier(
        self,
        decision: "Decision",
        budgets: Sequence[float],
        objective: "Objective" = "mean",
        *,
        level: float = 0.9,
        beyond_support: bool = False,
    ) -> xr.Dataset:
        """Find the best plan of each of several budgets.

        Parameters
        ----------
        decision : Decision
            Its own budget is ignored.
        budgets : sequence of float
        level : float
            Probability of the intervals of the gain.
        objective, beyond_support
            As in :meth:`best`.

        Returns
        -------
        Dataset, dims (budget, action)
            ``plan`` (budget, action); and per budget ``value``, the objective, ``cost``, ``gain``
            over the baseline with ``gain_low`` and ``gain_high``, and ``probability_better``.

        Raises
        ------
        ModelError
            As :meth:`best`.

        Examples
        --------
        >>> decision = bi.Decision({"red": 1.0, "green": 1.0}, bounds={"red": (-1, 1)})
        >>> bool((posterior.frontier(decision, [0.0, 0.5, 1.0]).value.diff("budget") > 0).all())
        True
        """
        from bayes_intgen.decide.best import frontier

        return frontier(
            self, decision, budgets, objective, level,
            beyond_support=beyond_support,
        )  # fmt: skip

    def cheapest(
        self,
        decision: "Decision",
        target: float,
        objective: "Objective" = "mean",
        *,
        beyond_support: bool = False,
    ) -> "Plan":
        """Find the cheapest plan whose objective reaches a target.

        Parameters
        ----------
        decision : Decision
        target : float
            In the outcome's units.
        objective, beyond_support
            As in :meth:`best`.

        Returns
        -------
        Plan
            Its budget is its cost.

        Raises
        ------
        ModelError
            As :meth:`best`, without costs, and if no plan reaches the target.

        Notes
        -----
        Bisection of the budget: the value of the best plan does not fall with it.

        Examples
        --------
        >>> plan = posterior.cheapest(bi.Decision(cost={"red": 1.0, "green": 1.0}), target=0.5)
        >>> abs(plan.value - 0.5) < 0.01
        True
        """
        from bayes_intgen.decide.best import Planning, cheapest_plan

        planning = Planning.of(self, decision, beyond_support)
        return cheapest_plan(planning, target, objective)
