"""`motorpool bench`: what is measured, what is said of it, and what is left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pyperf
import pytest
from functions import LIMIT, wait_until

PIPELINE = """
import os, sys, time
from motorpool import node, pipeline as make

def work(x):
    time.sleep(0.01)
    return [x] * 3

def add(*parts):
    return sum(map(sum, parts))

pipeline = make([
    *(node(work, "x", f"y{i}", name=f"work{i}") for i in range(4)),
    node(add, [f"y{i}" for i in range(4)], "total"),
])
catalog = {"x": 2}
"""


@pytest.fixture
def temporary():
    """A folder for temporary files, whose name is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mp-") as folder:
        yield Path(folder)


@pytest.fixture
def bench(tmp_path, temporary):
    """Run the command in a folder with a pipeline."""

    def run(*arguments, pipeline=PIPELINE, code=0):
        (tmp_path / "tried.py").write_text(pipeline)
        done = subprocess.run(
            [sys.executable, "-m", "motorpool", "bench", *arguments], capture_output=True,
            text=True, timeout=300, cwd=tmp_path, check=False,
            env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "80"},
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert not list(temporary.iterdir())
        return done

    return run


def rows(text):
    """The lines of the table, by backend and workers."""
    found = re.findall(r"^(\w+, \d+) +(.*)$", text, re.MULTILINE)
    return {case: re.split(r"  +", cells) for case, cells in found}


def test_bench_prints_table_and_advice_and_writes_files(bench, tmp_path):
    """Each backend has a row; what pyperf reads and the page say the same."""
    done = bench("tried.py", "--backends", "direct,sequential", "--max-workers", "1,2",
                 "--repeat", "2", "--json", "out.json", "--html", "out.html")  # fmt: skip
    table = rows(done.stdout)
    assert set(table) == {"direct, 1", "direct, 2", "sequential, 1"}
    assert min(float(cells[1]) for cells in table.values()) == 1.0
    assert "All runs gave the same outputs." in done.stdout
    assert re.search(r"^Take (direct|sequential) with \d workers?", done.stdout, re.MULTILINE)
    suite = pyperf.BenchmarkSuite.load(str(tmp_path / "out.json"))
    names = {f"{case.replace(', ', '-')}-{kind}" for case in table for kind in ("cold", "warm")}
    assert set(suite.get_benchmark_names()) == names
    warm = suite.get_benchmark("sequential-1-warm")
    assert warm.get_nvalue() == 2
    assert warm.median() >= 0.04  # four sleeps, one after the other
    page = (tmp_path / "out.html").read_text()
    for case in table:
        assert f'data-of="{case}"' in page


def test_two_files_can_be_compared_by_pyperf(bench, tmp_path):
    """Cold and warm apart, by backend and number of workers."""
    for name in ("one.json", "two.json"):
        bench("tried.py", "--backends", "sequential", "--repeat", "2", "--json", name)
    done = subprocess.run(
        [sys.executable, "-m", "pyperf", "compare_to", "-v", "one.json", "two.json"],
        capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path, check=True,
    )  # fmt: skip
    for kind in ("cold", "warm"):
        assert f"sequential-1-{kind}" in done.stdout


def test_backend_that_fails_is_a_row_with_the_reason(bench):
    """The others are measured all the same."""
    timed = PIPELINE.replace('"total")', '"total", timeout=300)')
    done = bench("tried.py", "--backends", "direct,threads", "--repeat", "1", pipeline=timed)
    assert [case.split(",")[0] for case in rows(done.stdout)] == ["direct"]
    reason = re.search(r"^threads, \d+: failed: (.*)$", done.stdout, re.MULTILINE)[1]
    assert "timeout" in reason
    assert "direct" in reason


def test_pipeline_that_fails_on_all_backends_exits_with_1(bench):
    """Exit code 1; how a process died is said."""
    dying = PIPELINE.replace("time.sleep(0.01)", "os._exit(5)")
    done = bench("tried.py", "--backends", "direct,sequential", "--repeat", "3", pipeline=dying,
                 code=1)  # fmt: skip
    assert re.search(
        r"^direct, \d: failed: .*WorkerCrashedError.*'work\d'", done.stdout, re.MULTILINE
    )
    assert "sequential, 1: failed: its process ended with exit code 5" in done.stdout
    assert "No backend has run the pipeline without a failure." in done.stdout


def test_outputs_that_vary_from_run_to_run_are_not_compared(bench):
    """And so they are no sign that backends differ."""
    pipeline = PIPELINE.replace("return [x] * 3", "return [time.time()]")
    done = bench("tried.py", "--backends", "sequential,threads", "--repeat", "1",
                 pipeline=pipeline)  # fmt: skip
    assert "Outputs differ from run to run on one backend, so they were not compared: total" in (
        done.stdout
    )


def test_outputs_that_cannot_be_pickled_are_not_compared(bench):
    """And it is said."""
    pipeline = PIPELINE.replace("sum(map(sum, parts))", '__import__("threading").Lock()').replace(
        '{"x": 2}', '{"x": 2, "total": MemoryDataset(copy_mode="assign")}'
    )
    pipeline = "from motorpool import MemoryDataset\n" + pipeline
    done = bench("tried.py", "--backends", "sequential", "--repeat", "1", pipeline=pipeline)
    assert "Outputs that cannot be pickled were not compared: total" in done.stdout


def test_outputs_that_differ_between_backends_are_reported(bench, tmp_path):
    """A pipeline that asks where it runs: the same on each backend, and not on both."""
    pipeline = PIPELINE.replace(
        "return [x] * 3", "return [2 if 'forkserver' in str(sys.orig_argv) else 3]"
    )
    done = bench("tried.py", "--backends", "direct,sequential", "--repeat", "2",
                 "--html", "o.html", "--json", "o.json", pipeline=pipeline)  # fmt: skip
    assert "Outputs differ between backends: total" in done.stdout.splitlines()[0]
    assert "Outputs differ between backends: total" in (tmp_path / "o.html").read_text()
    noted = json.loads((tmp_path / "o.json").read_text())["metadata"]["motorpool_warnings"]
    assert noted == "Outputs differ between backends: total"


def test_backend_that_fails_later_is_not_recommended(bench):
    """However good its first runs were."""
    moody = PIPELINE.replace(
        "    time.sleep(0.01)\n",
        "    from pathlib import Path\n    Path('runs').open('a').write('x')\n"
        "    if 'threads' in ORDER and len(Path('runs').read_text()) > 14:\n"
        "        raise RuntimeError('disk full')\n",
    )
    moody = moody.replace(
        "import os", "import threading\nORDER = [t.name for t in threading.enumerate()]\nimport os"
    ).replace("'threads' in ORDER and", "threading.current_thread().name != 'MainThread' and")
    done = bench("tried.py", "--backends", "threads,sequential", "--repeat", "2", "-w", "2",
                 pipeline=moody)  # fmt: skip
    assert re.search(
        r"^threads, 2(, after \d good runs)?: failed: .*disk full", done.stdout, re.MULTILINE
    )
    assert set(rows(done.stdout)) == {"sequential, 1"}
    assert "Take sequential with 1 worker" in done.stdout
    assert "which alone has run it" in done.stdout


FILES = """
from pathlib import Path
from motorpool import DataCatalog, Dataset, PickleDataset, node, pipeline as make

class Table(Dataset):
    def load(self):
        return Path("table").read_text()
    def save(self, data):
        Path("table").write_text(str(data))

def add(x):
    return x + 1

pipeline = make([node(add, "x", "y"), node(add, "y", "z")])
catalog = DataCatalog({"x": 2, "y": PickleDataset("y.pickle"), "z": PickleDataset("z.pickle")})
"""


def test_bench_leaves_files_as_they_were(bench, tmp_path):
    """What the pipeline writes is compared, and gone afterwards."""
    (tmp_path / "z.pickle").write_text("precious")
    done = bench("tried.py", "--backends", "direct,sequential", "--repeat", "1", pipeline=FILES)
    assert "All runs gave the same outputs." in done.stdout
    assert (tmp_path / "z.pickle").read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} <= {"tried.py", "z.pickle", "__pycache__"}


def test_what_cannot_be_moved_is_overwritten_only_if_asked(bench, tmp_path):
    """The mistake is one before anything runs, and names the dataset."""
    (tmp_path / "table").write_text("precious")
    pipeline = FILES.replace('PickleDataset("z.pickle")', "Table()")
    done = bench("tried.py", "--backends", "sequential", pipeline=pipeline, code=2)
    assert "Each run would write to z (Table)" in done.stderr
    assert "--yes-overwrite" in done.stderr
    assert (tmp_path / "table").read_text() == "precious"
    bench("tried.py", "--backends", "sequential", "--repeat", "1", "--yes-overwrite",
          pipeline=pipeline)  # fmt: skip
    assert (tmp_path / "table").read_text() == "4"


def test_outputs_that_differ_by_rounding_are_equal(bench):
    """As of sums in another order; by how much is said."""
    pipeline = PIPELINE.replace(
        "return [x] * 3", "return [2.0 + 1e-12 * ('forkserver' in str(sys.orig_argv))]"
    )
    done = bench("tried.py", "--backends", "direct,sequential", "--repeat", "1",
                 pipeline=pipeline)  # fmt: skip
    assert re.search(
        r"^Outputs are the same on all backends but for rounding: total \(by up to \de-1[23] of a "
        r"number\)$", done.stdout, re.MULTILINE,
    )  # fmt: skip


def test_time_limit_ends_a_bench_with_what_there_is(bench):
    """A trial that would take too long is ended; its case has no row."""
    stuck = PIPELINE.replace(
        "import os, sys, time",
        "import os, sys, time, threading\nfrom pathlib import Path\n"
        "if '_bench_trial' in str(sys.orig_argv):\n"
        "    Path('loaded').open('a').write('x')\n"
        "    if len(Path('loaded').read_text()) == 4: time.sleep(600)",
    )
    done = bench("tried.py", "--backends", "sequential,threads", "--repeat", "2",
                 "--time-limit", "20", pipeline=stuck)  # fmt: skip
    assert set(rows(done.stdout)) == {"sequential, 1"}
    assert re.search(r"^threads, \d+: not measured$", done.stdout, re.MULTILINE)
    assert done.stderr.splitlines()[-1] == "The time is up."


def test_parameters_come_from_a_file(bench, tmp_path):
    """As with `motorpool run`."""
    (tmp_path / "params.yml").write_text("size: 3\n")
    pipeline = PIPELINE.replace('work, "x"', 'work, "params:size"').replace('"x": 2', "")
    done = bench("tried.py", "--backends", "sequential", "--repeat", "1", "--params", "params.yml",
                 pipeline=pipeline)  # fmt: skip
    assert set(rows(done.stdout)) == {"sequential, 1"}
    done = bench("tried.py", "--backends", "sequential", pipeline=pipeline, code=2)
    assert "params:size" in done.stderr


def test_missing_input_is_reported_once_for_all_backends(bench):
    """And not one for each backend."""
    done = bench("tried.py", pipeline=PIPELINE.replace('{"x": 2}', '{"y": 2}'), code=2)
    assert done.stderr.count("Pipeline input(s) ['x'] not found") == 1


def test_pipeline_without_nodes_is_refused(bench):
    """Nothing to compare."""
    done = bench("tried.py", pipeline="from motorpool import pipeline as p\npipeline = p([])",
                 code=2)  # fmt: skip
    assert "the pipeline has no nodes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Name a TARGET, or --suite"),
        (["tried.py", "--suite"], "Name a TARGET, or --suite"),
        (["tried.py", "--backends", "derict"], "derict"),
        (["tried.py", "--max-workers", "0"], "'0' is not of the form 1,2,4, with numbers from 1"),
        (
            ["tried.py", "--html", "no/such/folder.html"],
            "there is no folder to write",
        ),
        (["trid.py"], "tried.py"),
        (["--suite", "--graphs", "star"], "There are no graphs ['star']"),
        (["tried.py", "--graphs", "tree"], "--graphs and --payloads go with --suite"),
        (
            ["--suite", "--catalog", "c.yml", "--nodes", "a"],
            "--catalog, --nodes: without a TARGET",
        ),
        (
            ["--suite", "--yes-overwrite"],
            "--yes-overwrite goes with a TARGET",
        ),
    ],
)
def test_mistakes_are_reported_before_anything_runs(bench, arguments, said):
    """In a line, with what there is."""
    assert said in bench(*arguments, code=2).stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_prints_the_table_of_what_was_measured(tmp_path, temporary, number, code):
    """No process and no file is left; the table has what was measured."""
    (tmp_path / "tried.py").write_text(PIPELINE + THIRD_TRIAL_WAITS)
    process = subprocess.Popen(
        [sys.executable, "-m", "motorpool", "bench", "tried.py", "--repeat", "2",
         "--backends", "sequential"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert wait_until((tmp_path / "waits").exists)
    process.send_signal(number)
    output, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == code, errors
    assert "sequential, 1" in rows(output)
    assert not list(temporary.iterdir())
    waiting = int((tmp_path / "waits").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(waiting, 0)


THIRD_TRIAL_WAITS = """
from pathlib import Path
if "_bench_trial" in str(sys.orig_argv):
    with Path("loaded").open("a") as file:
        file.write("x")
    if len(Path("loaded").read_text()) == 3:  # after the outputs, and the first round
        Path("waits.new").write_text(str(os.getpid()))
        Path("waits.new").rename("waits")
        time.sleep(600)
"""


def test_suite_measures_a_standard_graph(bench, tmp_path):
    """A standard graph on a backend, with a figure, or how to read the lack of one."""
    done = bench("--suite", "--graphs", "tree", "--backends", "direct,sequential",
                 "--max-workers", "2", "--payloads", "16", "--repeat", "1",
                 "--json", "out.json")  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[1].split("  ")[0] == "graph, payload"
    assert re.fullmatch(r"tree, 16 B( +(never|\S+ [mu]s \(\S+ - \S+\)))+ *", lines[2])
    assert {"direct, 2", "sequential, 1"} <= set(re.findall(r"\w+, \d", lines[1]))
    found = json.loads(Path(tmp_path / "out.json").read_text())["benchmarks"]
    for benchmark in found:
        assert benchmark["runs"][0]["values"][0] > 0
