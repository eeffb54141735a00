"""The backend `mpi`: ranks of an MPI job, by way of mpi4py.futures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motorpool import Capabilities, ExecutorBackend, Isolation, hookimpl
from motorpool.processes import refuse_frozen
from motorpool_mpi._executor import MPIExecutor

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["MPIBackend", "MPIExecutor", "MPIOptions"]

_ONE_HOST = Capabilities(isolation=Isolation.PROCESS)
_SEVERAL_HOSTS = Capabilities(isolation=Isolation.CLUSTER, shares_memory=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MPIOptions:
    """Options of the backend `mpi`.

    Attributes:
        mpiexec: The command that starts an MPI job, with arguments of your own.
        hosts: Where ranks run, as `mpiexec --host` takes it; by default this host alone. With it
            values travel by way of the driver, and nodes cannot have timeouts.
        address: The name or address of this host that the hosts can reach; by default its name.

    Raises:
        ValueError: If the command is empty.
    """

    mpiexec: str = "mpiexec"
    hosts: str | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if not self.mpiexec.strip():
            raise ValueError("mpiexec must be a command, such as 'mpiexec --bind-to core'")
        if self.address is not None and self.hosts is None:
            raise ValueError("address goes with hosts: without those, ranks run here")


class MPIBackend(ExecutorBackend):
    """Runs nodes in ranks of an MPI job."""

    name = "mpi"
    capabilities = _ONE_HOST
    options_type = MPIOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.options.hosts is not None:
            self.capabilities = _SEVERAL_HOSTS

    def _get_executor(self, max_workers: int) -> Executor:
        refuse_frozen("mpi")
        options = self.options
        return MPIExecutor(
            max_workers,
            mpiexec=options.mpiexec,
            hosts=options.hosts,
            address=options.address,
            initializer=None if options.hosts else self.initializer,
        )

    def worker_pids(self, executor: Executor) -> list[int]:
        """Process ids of the ranks that live; of `mpiexec`, where they run on other hosts."""
        if not isinstance(executor, MPIExecutor):
            return []
        return executor.worker_pids() if self.options.hosts is None else executor.job_pids()

    def kill_worker(self, executor: Executor, pid: int) -> None:
        """End a rank, and so the job; on other hosts `mpiexec` does it."""
        if isinstance(executor, MPIExecutor) and self.options.hosts is not None:
            executor.kill()
        else:
            super().kill_worker(executor, pid)

    def exitcode(self, executor: Executor, pid: int) -> int | None:
        """Exit code of the rank that ended the job, as far as `mpiexec` says which it was."""
        return executor.exitcode(pid) if isinstance(executor, MPIExecutor) else None


@hookimpl
def motorpool_register_backend() -> type[ExecutorBackend]:
    """Return the backend."""
    return MPIBackend
