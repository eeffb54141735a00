# The gate, which a commit must pass: formatting, lint, types, layers, tests, and a smoke on each other Python.
check:
    uv run python tools/check.py

# All tests on every Python that is here, and once with the lowest dependencies.
matrix *arguments:
    uv run python tools/matrix.py {{arguments}}

# What starts, kills or times processes, so many times over on busy cores.
stress rounds="10" *arguments:
    uv run python tools/stress.py {{rounds}} {{arguments}}

# Random pipelines with random faults at random moments.
soak minutes="10" *arguments:
    uv run python benchmarks/soak.py --minutes {{minutes}} {{arguments}}

# Formatting and lint.
lint:
    uv run ruff format --check .
    uv run ruff check .

# Put the formatting right, and what ruff can mend.
fix:
    uv run ruff check --fix .
    uv run ruff format .

# Types of the package, and of the public API as users see it.
types:
    uv run mypy
    uv run mypy --strict tests/typing/api.py

# Imports point one way.
layers:
    uv run lint-imports

# The tests of the gate, or those that are named.
test *arguments:
    uv run pytest {{arguments}}
