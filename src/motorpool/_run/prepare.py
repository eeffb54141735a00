"""A pipeline and a catalog, made ready to run."""

from __future__ import annotations

import logging
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motorpool._datasets.contract import is_ephemeral
from motorpool._engine.lifetimes import Lifetimes
from motorpool._journal.folder import runs_folder
from motorpool._journal.reader import find_run
from motorpool._run.checks import check_inputs, check_kinds
from motorpool._run.compiled import compiled
from motorpool._run.resume import ResumePlan, input_hashes
from motorpool._run.subset import missing_outputs
from motorpool._wording import counted
from motorpool.catalog import DataCatalog, RunCatalog

if TYPE_CHECKING:
    import os

    from motorpool._protocol.host import Host

_logger = logging.getLogger("motorpool")


class Preparation:
    """A pipeline and a catalog, made ready to run; nothing has started yet.

    Args:
        pipeline: Anything with `nodes`, `node_dependencies`, `inputs()` and `outputs()`.
        catalog: Anything with `get(name)` and `in`, or a dict of names to values.
        only_missing_outputs: Leave out what is not needed for outputs that do not exist.
        run_id: Name of the run, or None for a new one.
        resume: The run to go on from: its id, or true for the latest one of this pipeline.
        runs: Where journals go; see `runs_folder`.
        wants_results: Whether what a resumed run leaves in memory will be loaded.
        host: The framework that the run belongs to, or None.

    Raises:
        ValidationError: If these are no pipeline and no catalog.
        MissingInputError: If the catalog lacks an input.
        CyclicPipelineError: If nodes wait for each other.
        ResumeError: If there is no run to go on from.

    Attributes:
        compiled: What is to be known of the nodes that run.
        manifest: The pipeline as journals describe it; empty if it keeps none.
        inputs: Hashes of small in-memory inputs; see `input_hashes`.
        resumed: What need not run again, for a resumed run, or None.
    """

    def __init__(
        self, pipeline: Any, catalog: Any, *, only_missing_outputs: bool, run_id: str | None,
        resume: str | bool, runs: str | os.PathLike[str] | bool | None, wants_results: bool,
        host: Host | None = None,
    ) -> None:  # fmt: skip
        self.host = host
        check_kinds(pipeline, catalog)
        self.started = time.perf_counter()
        self.run_id = run_id or new_run_id()
        self.user_catalog = DataCatalog(catalog) if type(catalog) is dict else catalog
        self.compiled = compiled(pipeline)
        self.catalog = RunCatalog(self.user_catalog, self.compiled.wiring.numbers)
        self.outputs: set[str] = set(self.compiled.outputs)
        folder = runs_folder(runs)
        self.runs = None if folder is None else Path(folder).absolute()
        self.manifest = self.compiled.manifest if folder is not None else []
        self.inputs: dict[str, str] = {}
        if folder is not None:
            self.inputs = input_hashes(sorted(self.compiled.inputs), self.catalog)
        self.resumed: ResumePlan | None = None
        self._wants_results = wants_results
        if resume:
            self._resume(None if resume is True else resume)
        if only_missing_outputs:
            self._keep(missing_outputs(self.nodes, self.catalog))
        check_inputs(self.compiled, self.catalog, self.user_catalog)

    @property
    def nodes(self) -> list[Any]:
        """The nodes that run, in a topological order."""
        return self.compiled.nodes

    def _resume(self, run_id: str | None) -> None:
        past = find_run(self.runs, run_id, self.manifest)
        outputs = set(self.outputs)
        wanted = {n for n in outputs if self._wants_results or not is_ephemeral(self.catalog[n])}
        self.resumed = ResumePlan(past, self.nodes, self.catalog, wanted)
        self.resumed.warn_of_changes(self.manifest, self.inputs)
        self._keep(self.resumed.rerun)
        self.catalog.registered |= self.resumed.bind(self.catalog, self.nodes, outputs)
        self.outputs = outputs

    def _keep(self, kept: list[int]) -> None:
        _logger.info("Running %d out of %s", len(kept), counted(len(self.nodes), "node"))
        self.compiled = self.compiled.part(kept)
        self.outputs &= self.compiled.written | self.catalog.registered

    def lifetimes(self) -> Lifetimes:
        """Who needs which dataset; what goes in and what comes out is never released."""
        pipeline = self.compiled
        return Lifetimes(pipeline.wiring, pipeline.users, pipeline.unmade | self.outputs)


def new_run_id() -> str:
    """A name for a run: when it began, in UTC, and a few letters that make it unique."""
    now = time.time()
    moment = time.strftime("%Y-%m-%dT%H.%M.%S", time.gmtime(now))
    return f"{moment}.{int(now % 1 * 1000):03d}Z-{secrets.token_hex(2)}"
