"""How late will it be? One model of arrival delays for each airline, from weather and schedule.

The nodes fan out over the months, meet in one table, and fan out again over the airlines:

    flights, weather, planes --> arrivals, conditions, ages --> 12 x clean --> table
    12 x clean --> 12 x profile --------------------------------+
    table --> 16 x fit --> 16 x evaluate --> delays.csv --------+--> delays.png

Only the four tables at the start and the two results at the end are files; what is in between
stays in memory.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from tables import CsvTable, FlightsTable, PngFigure

from motorpool import DataCatalog, Pipeline, node

MONTHS = range(1, 13)
AIRLINES = [
    "9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV",
]  # fmt: skip
CLEAN = ["arrivals", "conditions", "ages"]
FEATURES = [
    "month", "weekday", "hour", "origin", "distance", "age", "seats",
    "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib",
]  # fmt: skip
HOUR_AND_PLACE = ["origin", "month", "day", "hour"]
# Every fifth day is for testing: weather lasts for hours, so single flights would not do.
TEST_EVERY = 5


def arrivals(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights that arrived, and what was known of them before."""
    columns = ["year", "month", "day", "hour", "carrier", "tailnum", "origin", "distance"]
    return flights.loc[flights["arr_delay"].notna(), [*columns, "dep_delay", "arr_delay"]]


def conditions(weather: pd.DataFrame) -> pd.DataFrame:
    """The weather, one row an hour and origin."""
    return weather.drop(columns=["year", "time_hour"]).drop_duplicates(HOUR_AND_PLACE)


def ages(planes: pd.DataFrame) -> pd.DataFrame:
    """When each plane was built, and how many seats it has."""
    return planes[["tailnum", "year", "seats"]].rename(columns={"year": "built"})


def clean(
    arrivals: pd.DataFrame, conditions: pd.DataFrame, ages: pd.DataFrame, *, month: int
) -> pd.DataFrame:
    """One month's flights, with the weather at their hour and origin, as numbers."""
    rows = arrivals[arrivals["month"] == month].merge(ages, on="tailnum", how="left")
    rows = rows.merge(conditions, on=HOUR_AND_PLACE, how="left")
    rows["weekday"] = pd.to_datetime(rows[["year", "month", "day"]]).dt.dayofweek
    rows["age"] = rows["year"] - rows["built"]
    rows["origin"] = rows["origin"].map({"EWR": 0, "JFK": 1, "LGA": 2})
    numbers = rows[[*FEATURES, "day", "dep_delay", "arr_delay"]].astype("float32")
    return numbers.assign(carrier=rows["carrier"])


def profile(month: pd.DataFrame) -> pd.Series:
    """Mean delay at departure in each hour of the day, in minutes."""
    return month.groupby("hour")["dep_delay"].mean().reindex(range(5, 24))


def stack(*months: pd.DataFrame) -> pd.DataFrame:
    """All months in one table."""
    return pd.concat(months, ignore_index=True)


def fit(table: pd.DataFrame, *, airline: str) -> HistGradientBoostingRegressor:
    """Fit one airline's model to its training days; it aims at the median, as errors are long."""
    rows = table[(table["carrier"] == airline) & (table["day"] % TEST_EVERY != 0)]
    model = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=60, min_samples_leaf=10, random_state=0
    )
    return model.fit(rows[FEATURES].to_numpy(), rows["arr_delay"].to_numpy())


def evaluate(table: pd.DataFrame, model: HistGradientBoostingRegressor, *, airline: str) -> Any:
    """Mean absolute error on the test days, against always saying the training days' median."""
    rows = table[table["carrier"] == airline]
    test = rows[rows["day"] % TEST_EVERY == 0]
    usual = rows.loc[rows["day"] % TEST_EVERY != 0, "arr_delay"].median()
    error = np.abs(model.predict(test[FEATURES].to_numpy()) - test["arr_delay"]).mean()
    baseline = np.abs(test["arr_delay"] - usual).mean()
    return {"carrier": airline, "flights": len(rows), "error": error, "baseline": baseline}


def report(airlines: pd.DataFrame, *scores: dict[str, Any]) -> pd.DataFrame:
    """The scores in one table, with the airlines' names, most flights first."""
    table = pd.DataFrame(scores).merge(airlines, on="carrier")
    table = table.sort_values(["flights", "carrier"], ascending=[False, True])
    return pd.DataFrame(
        {
            "airline": table["name"],
            "flights": table["flights"],
            "mean_absolute_error": table["error"].astype(float).round(3),
            "baseline_error": table["baseline"].astype(float).round(3),
        }
    )


def draw(delays: pd.DataFrame, *profiles: pd.Series) -> Any:
    """Each airline's error against its baseline, and when in the year and the day it gets late."""
    from matplotlib.figure import Figure  # noqa: PLC0415, only this node needs it

    figure = Figure(figsize=(12, 6), layout="constrained")
    errors, heat = figure.subplots(1, 2, width_ratios=[1.1, 1])
    _draw_errors(errors, delays.iloc[::-1].reset_index(drop=True))
    grid = heat.imshow(
        np.column_stack(profiles), aspect="auto", cmap="magma", origin="lower", vmin=0,
        extent=(0.5, 12.5, 4.5, 23.5),
    )  # fmt: skip
    heat.set(title="When it gets late", xlabel="month", ylabel="scheduled hour")
    heat.set(xticks=MONTHS, yticks=range(6, 24, 3))
    figure.colorbar(grid, ax=heat, label="mean departure delay (minutes)")
    return figure


def _draw_errors(axes: Any, rows: pd.DataFrame) -> None:
    model, baseline = rows["mean_absolute_error"], rows["baseline_error"]
    axes.hlines(rows.index, model, baseline, color="lightgrey", linewidth=3, zorder=1)
    axes.scatter(baseline, rows.index, color="grey", label="always the median", zorder=2)
    axes.scatter(model, rows.index, color="crimson", label="model", zorder=3)
    labels = [f"{a} ({n:,})" for a, n in zip(rows["airline"], rows["flights"], strict=True)]
    axes.set_yticks(rows.index, labels)
    axes.set(
        title="How far off is a prediction of the arrival delay?",
        xlabel="mean absolute error on test days (minutes)",
    )
    axes.legend(loc="upper right", frameon=False)
    axes.grid(axis="x", alpha=0.3)


months = [f"month_{m:02}" for m in MONTHS]
profiles = [f"profile_{m:02}" for m in MONTHS]
pipeline = Pipeline([
    node(arrivals, "flights", "arrivals", name="arrivals"),
    node(conditions, "weather", "conditions", name="conditions"),
    node(ages, "planes", "ages", name="ages"),
    *(
        node(partial(clean, month=m), CLEAN, name, name=f"clean_{m:02}")
        for m, name in zip(MONTHS, months, strict=True)
    ),
    *(node(profile, m, p, name=p) for m, p in zip(months, profiles, strict=True)),
    node(stack, months, "table", name="stack"),
    *(node(partial(fit, airline=a), "table", f"model_{a}", name=f"fit_{a}") for a in AIRLINES),
    *(
        node(partial(evaluate, airline=a), ["table", f"model_{a}"], f"score_{a}", name=f"eval_{a}")
        for a in AIRLINES
    ),
    node(report, ["airlines", *(f"score_{a}" for a in AIRLINES)], "delays", name="report"),
    node(draw, ["delays", *profiles], "figure", name="draw"),
])  # fmt: skip

catalog = DataCatalog(
    {
        "flights": FlightsTable("flights"),
        "weather": FlightsTable("weather"),
        "planes": FlightsTable("planes"),
        "airlines": FlightsTable("airlines"),
        "delays": CsvTable("out/delays.csv"),
        "figure": PngFigure("out/delays.png"),
    }
)
