"""One producer and four readers, as users of other libraries would write it."""

from __future__ import annotations

import importlib.util
import logging
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import data_plane_work as work

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

_PEERS = ("distributed", "ray", "joblib", "kedro")


def installed() -> list[str]:
    """The peers that are here."""
    return [name for name in _PEERS if importlib.util.find_spec(name)]


def fan_outs(stack: ExitStack, workers: int) -> dict[str, Callable[[int], object]]:
    """Each peer that is installed, by name: runs the graph on an array of so many bytes."""
    makers = {"distributed": _dask, "ray": _ray, "joblib": _joblib, "kedro": _kedro}
    return {
        "ProcessPoolExecutor": _pool(stack, workers),
        **{name: makers[name](stack, workers) for name in installed()},
    }


def _pool(stack: ExitStack, workers: int) -> Callable[[int], object]:
    pool = stack.enter_context(ProcessPoolExecutor(workers))

    def run(nbytes: int) -> list[float]:
        value = pool.submit(work.make_large, nbytes).result()
        return list(pool.map(work.total, [value] * 4))

    return run


def _joblib(stack: ExitStack, workers: int) -> Callable[[int], object]:
    from joblib import Parallel, delayed  # noqa: PLC0415, only where it is installed

    parallel = stack.enter_context(Parallel(n_jobs=workers, max_nbytes="1M"))

    def run(nbytes: int) -> list[float]:
        (value,) = parallel([delayed(work.make_large)(nbytes)])
        return parallel(delayed(work.total)(value) for _ in range(4))

    return run


def _dask(stack: ExitStack, workers: int) -> Callable[[int], object]:
    from distributed import Client, LocalCluster  # noqa: PLC0415, as above

    cluster = stack.enter_context(
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            host="127.0.0.1",
            silence_logs=logging.ERROR,
        )
    )
    client = stack.enter_context(Client(cluster))

    def run(nbytes: int) -> list[float]:
        value = client.submit(work.make_large, nbytes, pure=False)
        return client.gather([client.submit(work.total, value, pure=False) for _ in range(4)])

    return run


def _ray(stack: ExitStack, workers: int) -> Callable[[int], object]:
    import ray  # noqa: PLC0415, as above

    ray.init(
        num_cpus=workers, include_dashboard=False, log_to_driver=False,
        _node_ip_address="127.0.0.1", logging_level=logging.ERROR,
    )  # fmt: skip
    stack.callback(ray.shutdown)
    make, total = ray.remote(work.make_large), ray.remote(work.total)

    def run(nbytes: int) -> list[float]:
        value = make.remote(nbytes)
        return ray.get([total.remote(value) for _ in range(4)])

    return run


def _kedro(_stack: ExitStack, workers: int) -> Callable[[int], object]:
    from kedro.io import MemoryDataset, SharedMemoryDataCatalog  # noqa: PLC0415, as above
    from kedro.pipeline import node, pipeline  # noqa: PLC0415
    from kedro.runner import ParallelRunner  # noqa: PLC0415

    logging.getLogger("kedro").setLevel(logging.ERROR)
    pipe = pipeline(
        [
            node(work.make_large, "x", "v", name="make"),
            *(node(work.total, "v", f"s{i}", name=f"total{i}") for i in range(4)),
        ]
    )

    def run(nbytes: int) -> object:
        catalog = SharedMemoryDataCatalog({"x": MemoryDataset(nbytes)})
        return ParallelRunner(max_workers=workers).run(pipe, catalog)

    return run
