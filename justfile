# Everything that CI checks.
check: lint types layers test

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

# All tests.
test *arguments:
    uv run pytest {{arguments}}
