"""Lets the server of workers import once what the workers of all tests here need."""

from motorpool._system.imports import need_modules

need_modules(["motorpool.kedro._host", "motorpool.kedro._project", "pandas"])
