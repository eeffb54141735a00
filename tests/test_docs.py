"""What README and docs say is run; what the reference lists is complete."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import motorpool
from motorpool import errors, events, hookspecs
from motorpool.events import Event

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLE = re.compile(r"```python\n(.*?)```\s*```text\n(.*?)```", re.DOTALL)
EXAMPLES = [
    pytest.param(code, output, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (code, output) in enumerate(EXAMPLE.findall(page.read_text()))
]
REFERENCE = "\n".join(p.read_text() for p in (ROOT / "docs/reference").glob("*.md"))


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_example_prints_what_the_page_says(code, output, tmp_path):
    """Pasted into a file, as a reader would."""
    (tmp_path / "pasted.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "pasted.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == output


def test_every_python_block_has_its_output():
    """So that none goes unchecked."""
    for page in PAGES:
        assert page.read_text().count("```python") == len(EXAMPLE.findall(page.read_text())), page


def test_links_lead_somewhere():
    """Files that pages link to are there."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_package_and_module_it_names_is_on_the_page_of_the_architecture():
    """And every file that the page names is there."""
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    source = ROOT / "src/motorpool"
    packages = {path.parent.name for path in source.glob("*/__init__.py")}
    modules = {path.stem for path in source.glob("*.py") if path.stem.strip("_") == path.stem}
    words = set(re.findall(r"\w+", page))
    assert packages | modules <= words
    for name in re.findall(r"`(_?\w+/[\w/]*(?:\.py)?)`", page):
        assert (source / name).exists(), name
    for name in re.findall(r"\b(_\w+/\w+)\b(?!\.py|/)", page):
        assert (source / f"{name}.py").exists() or (source / name).is_dir(), name


@pytest.mark.parametrize("name", sorted(set(motorpool.__all__)))
def test_every_public_name_is_in_the_reference(name):
    """In backquotes, alone or with arguments."""
    assert re.search(rf"`{name}\b", REFERENCE)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_in_the_reference_and_tested(name):
    """A line in the reference, and at least one test by name."""
    assert f"| `{name}`" in REFERENCE
    sources = [p.read_text() for p in (ROOT / "tests").rglob("*.py")]
    raised = [s for s in sources if re.search(rf"\b{name}\b", s)]
    bases = {"MotorpoolError", "BackendError", "NodeError", "StoreError"}
    assert raised or name in bases


def test_every_hook_is_in_the_reference_with_its_arguments():
    """And has a test that implements it."""
    tested = "\n".join(p.read_text() for p in (ROOT / "tests").rglob("*.py"))
    for specs in (hookspecs.BackendSpecs, hookspecs.RunSpecs):
        for name, function in vars(specs).items():
            if name.startswith("_"):
                continue
            arguments = function.__code__.co_varnames[1 : function.__code__.co_argcount]
            assert f"`{name}({', '.join(arguments)})`" in REFERENCE
            assert f"def {name}(" in tested, name


def test_every_event_is_in_the_reference_with_its_fields():
    """All but those that every event has."""
    for kind in Event.__subclasses__():
        (line,) = [x for x in REFERENCE.splitlines() if x.startswith(f"| `{kind.__name__}`")]
        for field in set(kind.__dataclass_fields__) - {"run_id", "time"}:
            assert f"`{field}`" in line
    assert {k.__name__ for k in Event.__subclasses__()} <= set(events.__all__)


def test_no_page_names_a_registry():
    """Packages are named, and where they come from is the reader's affair."""
    for page in [*PAGES, *ROOT.glob("*.md"), ROOT / "pyproject.toml"]:
        assert not re.search(r"\bpypi\.org|files\.pythonhosted", page.read_text()), page
