"""All contenders, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusters import Dask, Executorlib, HyperQueue, Parsl, Ray, RayCompiled
from kedro_peers import Kedro, KedroSequential, KedroThread
from local import Joblib, Loky, Motorpool, PipeFunc, Pool

if TYPE_CHECKING:
    from base import Contender

ALL: dict[str, type[Contender]] = {
    "motorpool": Motorpool,
    "ProcessPoolExecutor": Pool,
    "loky": Loky,
    "joblib": Joblib,
    "pipefunc": PipeFunc,
    "dask.distributed": Dask,
    "ray": Ray,
    "ray compiled graph": RayCompiled,
    "parsl": Parsl,
    "executorlib": Executorlib,
    "hyperqueue": HyperQueue,
    "kedro ParallelRunner": Kedro,
    "kedro ThreadRunner": KedroThread,
    "kedro SequentialRunner": KedroSequential,
}
