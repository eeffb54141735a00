"""How often intervals of 95 % hold the true median, in samples of real timings.

    uv run python benchmarks/intervals.py [--samples 2000]

The population is that of tests/bench/timings.json, once for each backend there. Compares what
`motorpool bench` shows with order statistics alone, and with percentiles of the bootstrap.
"""

from __future__ import annotations

import argparse
import json
import statistics
from math import comb
from pathlib import Path

import numpy as np

from motorpool.bench._statistics import interval

TIMINGS = Path(__file__).parents[1] / "tests/bench/timings.json"
COUNTS = (6, 7, 8, 9, 10, 15, 30)
_RESAMPLES, _DOUBT = 1000, 0.05


def interpolated(sample: np.ndarray, _random: np.random.Generator) -> tuple[float, float]:
    """What `motorpool bench` shows."""
    found = interval(sample.tolist())
    return found.low, found.high


def order_statistics(sample: np.ndarray, _random: np.random.Generator) -> tuple[float, float]:
    """The narrowest pair of values that holds the median in 95 of 100 cases at least."""
    count, depth = len(sample), 1
    while 2 * sum(comb(count, k) for k in range(depth + 1)) / 2**count <= _DOUBT:
        depth += 1
    ordered = np.sort(sample)
    return ordered[depth - 1], ordered[-depth]


def bootstrap(sample: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
    """Percentiles of the medians of samples of the sample."""
    medians = np.median(random.choice(sample, (_RESAMPLES, len(sample))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return low, high


METHODS = (interpolated, order_statistics, bootstrap)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2000, help="a backend and a row")
    samples = parser.parse_args().samples
    populations = [
        np.array(values) for values in json.loads(TIMINGS.read_text()).values()
        if isinstance(values, list)
    ]  # fmt: skip
    print("| runs | " + " | ".join(method.__name__.replace("_", " ") for method in METHODS) + " |")
    print("|---|" + "---|" * len(METHODS))
    for count in COUNTS:
        random = np.random.default_rng(count)
        held = dict.fromkeys(METHODS, 0)
        for population in populations:
            truth = statistics.median(population.tolist())
            for _ in range(samples):
                sample = random.choice(population, count)
                for method in METHODS:
                    low, high = method(sample, random)
                    held[method] += bool(low <= truth <= high)
        shares = (100 * held[method] / (samples * len(populations)) for method in METHODS)
        print(f"| {count} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |")


if __name__ == "__main__":
    main()
