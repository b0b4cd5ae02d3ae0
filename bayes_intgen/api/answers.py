"""Answers from a posterior: tidy tables of effects at rows, and draws of changes of effects."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bayes_intgen.api.pictures import Pictures

# Methods import what answers: most questions to a saved fit are about single points.
if TYPE_CHECKING:
    from bayes_intgen.decide.comparisons import Comparison
    from bayes_intgen.decide.contrasts import Contrast
    from bayes_intgen.decide.estimates import By, Estimates


class Answers(Pictures):
    """Methods of a posterior that compare effects, in tidy tables or as draws."""

    def predictions(
        self,
        newdata: Any = None,
        *,
        by: "By" = None,
        variables: Any = None,
        intervened: Sequence[str] | None = None,
    ) -> "Estimates":
        """Estimate the mean outcome with actions set, at each row of a table or on average.

        Parameters
        ----------
        newdata : table, dict of columns, points, "mean" or "median", optional
            A row for each estimate, with columns for actions, in their own units and levels by
            their names, and for covariates and groups. Actions without a column are at
            :attr:`default_point`, and effects are averaged over covariates and groups without
            one, as :meth:`given` and :meth:`over` say. Other columns are kept. ``"mean"`` and
            ``"median"`` are one row with the means or medians of the actions over the
            observational rows, and their most frequent levels; by default the row is
            :attr:`default_point`.
        by : str, sequence of str or True, optional
            Columns of newdata; estimates are averages over its rows with the same cells. With
            True the average over all rows. Draws are averaged, so that intervals are those of the
            average.
        variables : str, sequence of str or mapping from action to values, optional
            Actions that take each of some values at every row, in all combinations, such as
            ``{"tv": [0, 10], "radio": [0, 5]}``. Without values all levels, or two usual values.
        intervened : sequence of str, optional
            Actions that are set; all by default.

        Returns
        -------
        Estimates
            It prints as a table; ``to_dataframe()`` gives one of the library of newdata, and
            ``draws`` the posterior draws.

        Raises
        ------
        PointsError
            As :meth:`joint_effect`, and on unknown columns.

        Warns
        -----
        SupportWarning
            As :meth:`joint_effect`.

        Examples
        --------
        >>> table = posterior.predictions({"green": 0.2}, variables={"red": [0.0, 0.5]})
        >>> table.to_dataframe()["red"].tolist()
        [0.0, 0.5]
        """
        from bayes_intgen.decide.comparisons import predictions
        from bayes_intgen.decide.estimates import estimates

        return estimates(self, predictions(self, newdata, variables), by, intervened)

    def comparisons(
        self,
        variables: Any = None,
        newdata: Any = None,
        *,
        by: "By" = None,
        comparison: "Comparison" = "difference",
        intervened: Sequence[str] | None = None,
    ) -> "Estimates":
        """Compare mean outcomes between values of actions, at each row of a table or on average.

        Parameters
        ----------
        variables : str, sequence of str or mapping from action to change, optional
            Actions, one after the other, the others as in newdata; all by default. A change is a
            list of values, each of which but the first is compared with the first, or for a
            number what is added to each row's value: ``{"tv": 10}``, ``{"tv": "sd"}`` for its
            standard deviation over the observational rows. By default 1, or the first level.
        newdata, by, intervened
            As in :meth:`predictions`.
        comparison : {"difference", "ratio"}
            E[Y | do(end)] minus, or over, E[Y | do(start)]. The ratio with ``by`` is of averages.

        Returns
        -------
        Estimates
            As of :meth:`predictions`, with the columns ``term``, the action, and ``contrast``.

        Raises
        ------
        PointsError
            As :meth:`predictions`, and for ratios as :meth:`ratio`.

        Warns
        -----
        SupportWarning
            As :meth:`contrast`.

        Examples
        --------
        >>> effect = posterior.comparisons({"red": [0.0, 0.5]}, {"green": [0.0, 0.2]})
        >>> effect.to_dataframe()["contrast"].tolist()
        ['0.5 - 0', '0.5 - 0']
        """
        from bayes_intgen.decide.comparisons import comparisons
        from bayes_intgen.decide.estimates import estimates

        return estimates(self, comparisons(self, variables, newdata, comparison), by, intervened)

    def slopes(
        self,
        variables: Any = None,
        newdata: Any = None,
        *,
        by: "By" = None,
        intervened: Sequence[str] | None = None,
    ) -> "Estimates":
        """Estimate derivatives of the mean outcome, at each row of a table or on average.

        Parameters
        ----------
        variables : str or sequence of str, optional
            Actions; by default all without levels.
        newdata, by, intervened
            As in :meth:`predictions`.

        Returns
        -------
        Estimates
            As of :meth:`comparisons`, in the outcome's units per unit of the action. At a value
            that many rows share, such as no spend, the derivative just above it; see
            :meth:`slope`.

        Raises
        ------
        PointsError
            As :meth:`predictions`, and for an action with levels.

        Warns
        -----
        SupportWarning
            As :meth:`contrast`.

        Examples
        --------
        >>> average = posterior.slopes("red", {"red": [-0.5, 0.0, 0.5]}, by=True)
        >>> len(average), bool(average.to_dataframe()["low"][0] > 0)
        (1, True)
        """
        from bayes_intgen.decide.comparisons import slopes
        from bayes_intgen.decide.estimates import estimates

        return estimates(self, slopes(self, variables, newdata), by, intervened)

    def contrast(
        self,
        to: Any,
        start: Any,
        *,
        intervened: Sequence[str] | None = None,
        given: Mapping[str, Any] | None = None,
        population: Any = None,
        periods: int | None = None,
    ) -> "Contrast":
        """Draws of the change of an effect between points, E[Y | do(to)] - E[Y | do(start)].

        Parameters
        ----------
        to, start : points as in :meth:`joint_effect`
            One point, or as many as the other has.
        intervened : sequence of str, optional
            Actions that are set; all by default.
        given, population, periods
            As in :meth:`joint_effect`.

        Returns
        -------
        Contrast, dims (chain, draw, point)
            A DataArray in the outcome's units, with methods ``summary`` and ``to_dataframe``. It
            is not corrected for a choice of ``to`` as the best of many plans, as :meth:`best` is.
            Coordinates along ``point``: the index of a data frame, the values of each action and,
            after ``from``, those at the start, and ``supported``, whether both ends are.

        Raises
        ------
        PointsError
            As :meth:`effect`, and if the numbers of points do not match.

        Warns
        -----
        SupportWarning
            As :meth:`effect`, on the level only under a log link, where a ratio is the change.

        Examples
        --------
        >>> change = posterior.contrast({"red": 0.5, "green": 0.2}, {"red": 0.0, "green": 0.2})
        >>> bool(change.summary().low > 0)
        True
        """
        from bayes_intgen.decide.contrasts import CONTRAST, between

        view = self.given(given).over(population)
        return between(view, CONTRAST, to, start, intervened, periods)

    def ratio(
        self,
        to: Any,
        start: Any,
        *,
        intervened: Sequence[str] | None = None,
    ) -> "Contrast":
        """Draws of the relative effect between points, E[Y | do(to)] / E[Y | do(start)].

        Parameters
        ----------
        to, start, intervened
            As in :meth:`contrast`; the ratio is of averages over the population.

        Returns
        -------
        Contrast, dims (chain, draw, point)
            1.2 is an increase by 20%. Coordinates and methods as of :meth:`contrast`.

        Raises
        ------
        PointsError
            As :meth:`contrast`, and where the mean at the start is too near to zero: within four
            posterior standard deviations.

        Warns
        -----
        SupportWarning
            As :meth:`effect`, on the level only where effects add up.

        Examples
        --------
        >>> per_cent = 100 * (posterior.ratio([[1.0, 0.5]], [[0.5, 0.5]]) - 1)
        >>> bool(per_cent.mean() > 0)
        True
        """
        from bayes_intgen.decide.contrasts import RATIO, between

        return between(self, RATIO, to, start, intervened)

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
            As :meth:`contrast`.

        Examples
        --------
        >>> bool(posterior.slope("red", [[0.0, 0.0]]).summary().low > 0)
        True
        """
        from bayes_intgen.decide.contrasts import slope

        return slope(self, action, at, intervened)
