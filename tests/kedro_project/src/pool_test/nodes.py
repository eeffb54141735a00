"""What the pipelines do."""

import logging
import os
import time
from collections.abc import Callable

import matplotlib as mpl
import pandas as pd

mpl.use("agg")

logger = logging.getLogger(__name__)


def clean(companies: pd.DataFrame) -> pd.DataFrame:
    logger.info("cleaning %d rows", len(companies))
    return companies.dropna()


def scale(clean: pd.DataFrame, factor: int) -> pd.DataFrame:
    return clean.assign(rating=clean["rating"] * factor)


def lines(content: bytes) -> int:
    return len(content)


def fit(scaled: pd.DataFrame) -> dict:
    return {"mean": float(scaled["rating"].mean())}


def keep(model: dict) -> dict:
    return {"kept": model["mean"]}


def split(scaled: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(key): part for key, part in scaled.groupby("id")}


def join(parts: dict[str, Callable[[], pd.DataFrame]]) -> float:
    return float(sum(load()["rating"].sum() for load in parts.values()))


def draw(scaled: pd.DataFrame):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    axes.bar(range(len(scaled)), scaled["rating"])  # with names, no pickle of it on Python 3.14
    return figure


def score(model: dict, weight: int, cached: dict) -> dict:
    time.sleep(0.06)  # a run that is over within 50 ms leaves no journal
    return {"score": model["mean"] * weight + cached["kept"]}


def chunks(scaled: pd.DataFrame):
    for _, row in scaled.iterrows():
        yield float(row["rating"])


def fail(companies: pd.DataFrame):
    raise ValueError("this node always fails")


def crash(companies: pd.DataFrame):
    os.kill(os.getpid(), 9)


def wait(companies: pd.DataFrame) -> int:
    time.sleep(600)
    return 1


def lazy(companies: pd.DataFrame) -> None:
    return None
