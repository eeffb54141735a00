"""Systems that also run on several machines; here on this one."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from base import NBYTES, WORKERS, Contender, leaves

from motorpool.bench._kernel import work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from motorpool.bench._graphs import Task


class Dask(Contender):
    """dask.distributed with a local cluster of processes, and dask.delayed."""

    def __enter__(self) -> Self:
        from distributed import Client

        self._client = Client(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
            silence_logs=logging.ERROR,
        )  # fmt: skip
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.shutdown()

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """A delayed graph is made anew for each run: of one that has run, results are kept."""
        import dask

        call = dask.delayed(work, pure=False)

        def run() -> object:
            made: dict[str, Any] = {}
            for name, parents in graph:
                inputs = [made[parent] for parent in parents]
                made[name] = call(iterations, NBYTES, *inputs)
            return dask.compute(*(made[name] for name in leaves(graph)))

        return run


class Ray(Contender):
    """Ray, started for this process."""

    def __enter__(self) -> Self:
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
        os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # else workers wait for uv
        # Seconds of a whole compiled graph, by default 10.
        os.environ["RAY_CGRAPH_get_timeout"] = "600"  # noqa: SIM112
        import ray

        ray.init(
            num_cpus=WORKERS, include_dashboard=False, log_to_driver=False,
            logging_level=logging.ERROR, _node_ip_address="127.0.0.1",
        )  # fmt: skip
        self._ray = ray
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ray.shutdown()

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """To submit a task is to make it."""
        call = self._ray.remote(work)

        def run() -> list[bytes]:
            made: dict[str, Any] = {}
            for name, parents in graph:
                inputs = [made[parent] for parent in parents]
                made[name] = call.remote(iterations, NBYTES, *inputs)
            found: list[bytes] = self._ray.get([made[name] for name in leaves(graph)])
            return found

        return run


class RayCompiled(Ray):
    """Ray's Compiled Graph: tasks are methods of actors, in turn, bound once and run often."""

    most = 300
    why = "the time to compile a graph grows with the square of its nodes"

    def __enter__(self) -> Self:
        self._before = set(_semaphores())
        super().__enter__()

        class Worker:
            def work(self, iterations: int, *inputs: bytes) -> bytes:
                return work(iterations, NBYTES, *inputs)

        worker = self._ray.remote(Worker)
        self._workers = [worker.remote() for _ in range(WORKERS)]
        self._compiled: Any = None
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._release()
        super().__exit__(*exc_info)
        for path in set(_semaphores()) - self._before:  # tens of thousands, which it leaves
            path.unlink(missing_ok=True)

    def _release(self) -> None:
        """Actors have one graph at a time."""
        if self._compiled is not None:
            self._compiled.teardown()

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """To compile a graph takes seconds; the first runs are slow, and not measured."""
        from ray.dag import InputNode, MultiOutputNode

        self._release()
        made: dict[str, Any] = {}
        with InputNode() as start:
            for number, (name, parents) in enumerate(graph):
                call = self._workers[number % WORKERS].work
                inputs = [made[parent] for parent in parents]
                made[name] = call.bind(iterations, *inputs) if inputs else call.bind(start)
        end = MultiOutputNode([made[name] for name in leaves(graph)])
        compiled = self._compiled = end.experimental_compile()

        def run() -> object:
            return self._ray.get(compiled.execute(iterations))

        for _ in range(4):
            run()
        return run


def _semaphores() -> Iterator[Path]:
    """Those of Ray's channels, of which it removes none."""
    return Path("/dev/shm").glob("sem.[ho][db][rj][0-9]*-*")  # hdr, obj, and a process id


class _ByFutures(Contender):
    """Futures as arguments: the system waits for them."""

    _submit: Callable[..., Any]

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """To submit a task is to make it."""

        def run() -> list[bytes]:
            made: dict[str, Any] = {}
            for name, parents in graph:
                inputs = [made[parent] for parent in parents]
                made[name] = self._submit(iterations, NBYTES, *inputs)
            return [made[name].result() for name in leaves(graph)]

        return run


class Parsl(_ByFutures):
    """Parsl with its high-throughput executor."""

    def __enter__(self) -> Self:
        import parsl
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        from parsl.providers import LocalProvider

        self._folder = tempfile.TemporaryDirectory()
        executor = HighThroughputExecutor(
            address="127.0.0.1", loopback_address="127.0.0.1", max_workers_per_node=WORKERS,
            cores_per_worker=1, encrypted=False,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )  # fmt: skip
        self._parsl = parsl
        parsl.load(Config(executors=[executor], run_dir=self._folder.name, usage_tracking=0))
        self._submit = parsl.python_app(work)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._parsl.dfk().cleanup()
        self._folder.cleanup()


class Executorlib(_ByFutures):
    """executorlib on one machine."""

    def __enter__(self) -> Self:
        from executorlib import SingleNodeExecutor

        self._executor = SingleNodeExecutor(max_workers=WORKERS, block_allocation=True)
        self._submit = lambda *inputs: self._executor.submit(work, *inputs)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.shutdown()


class HyperQueue(Contender):
    """HyperQueue in this process; its tasks pass no values, so that files do."""

    most = 300
    why = "each task is a Python of its own, so that more of them take minutes"
    isolated = True

    def __enter__(self) -> Self:
        os.environ["TQDM_DISABLE"] = "1"  # before it is imported
        from hyperqueue import LocalCluster
        from hyperqueue.cluster import WorkerConfig
        from hyperqueue.task.function import PythonEnv

        self._folder = tempfile.TemporaryDirectory()
        with _quiet():
            config = WorkerConfig(cores=WORKERS)
            self._cluster = LocalCluster(f"{self._folder.name}/server", config)
        self._client = self._cluster.client(python_env=PythonEnv(sys.executable))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._cluster.stop()
        self._folder.cleanup()

    def prepare(self, graph: list[Task], iterations: int) -> Callable[[], object]:
        """A job is made anew for each run, as it can be submitted once."""
        from hyperqueue import Job

        def call(result: str, parents: list[str]) -> None:
            inputs = [Path(parent).read_bytes() for parent in parents]
            Path(result).write_bytes(work(iterations, NBYTES, *inputs))

        def run() -> list[bytes]:
            with tempfile.TemporaryDirectory(dir=self._folder.name) as folder:
                job = Job(folder)
                made: dict[str, Any] = {}
                for name, parents in graph:
                    made[name] = job.function(
                        call, args=(f"{folder}/{name}", [f"{folder}/{p}" for p in parents]),
                        deps=[made[p] for p in parents], stdout=None, stderr=None,
                    )  # fmt: skip
                submitted = self._client.submit(job)
                self._client.wait_for_jobs([submitted])
                found = [Path(folder, name).read_bytes() for name in leaves(graph)]
                self._client.forget(submitted)
                return found

        return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let nothing reach standard output, not even what is no Python."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
