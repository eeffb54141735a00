"""How often to try a failed node again, after what pause, and after which failures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from motorpool._system.exceptions import add_note
from motorpool.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable  # noqa: TC004, its type is never looked up


@dataclass(frozen=True, slots=True)
class Retry:
    """How to try a failed node again.

    Before retry number n there is a pause of `delay * backoff ** (n - 1)` seconds, at most
    `max_delay`, of which the share `jitter` is left to chance, so that nodes that failed together
    do not come back together. The node waits without a worker.

    Args:
        count: How often, after the first try.
        delay: Seconds before the first retry.
        backoff: What each further pause is multiplied by, at least 1.
        max_delay: Longest pause, in seconds.
        jitter: Share of a pause that is left to chance, from 0 to 1.
        on: Which failures are worth it: an exception class, a tuple of classes, or a function
            that is given the exception, in the driver, and says whether to try again.

    Raises:
        PipelineError: If one of them is out of range.
    """

    count: int
    delay: float = 0.0
    backoff: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.5
    on: type[BaseException] | tuple[type[BaseException], ...] | Callable[[Any], Any] = (
        BaseException
    )

    def __post_init__(self) -> None:
        """Check every field, and report all problems together."""
        problems = []
        if type(self.count) is not int or self.count < 0:
            problems.append(f"count must be a whole number of at least 0, not {self.count!r}.")
        for name, least, most in (
            ("delay", 0, None), ("backoff", 1, None), ("max_delay", 0, None), ("jitter", 0, 1),
        ):  # fmt: skip
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (
                number
                and math.isfinite(value)
                and value >= least
                and (most is None or value <= most)
            ):
                limits = f"of at least {least}" if most is None else f"from {least} to {most}"
                problems.append(f"{name} must be a number {limits}, not {value!r}.")
        classes = self.on if isinstance(self.on, tuple) else (self.on,)
        function = callable(self.on) and not isinstance(self.on, type)
        if not function and not all(_is_exception_class(c) for c in classes):
            problems.append(
                "on must be an exception class, a tuple of them or a function of the exception, "
                f"not {self.on!r}."
            )
        if problems:
            raise PipelineError("Retry: " + " ".join(problems))

    @classmethod
    def of(cls, value: int | Retry) -> Retry:
        """A plain number stands for so many retries at once, after any failure.

        Raises:
            PipelineError: If it is neither.
        """
        if isinstance(value, Retry):
            return value
        return _so_often(value) if type(value) is int else cls(value)

    def wants(self, error: BaseException) -> bool:
        """Whether a failure is worth another try; a predicate that raises says no."""
        if isinstance(self.on, tuple) or _is_exception_class(self.on):
            return isinstance(error, self.on)  # type: ignore[arg-type]
        try:
            return bool(self.on(error))
        except Exception as problem:  # noqa: BLE001, the user's code
            why = f"Retry(on=...) raised {type(problem).__name__}: {problem}"
            add_note(error, f"It was not tried again: {why}")
            return False

    def pause(self, number: int) -> float:
        """Seconds to wait before a retry.

        Args:
            number: 1 for the first retry, 2 for the second, and so on.
        """
        if not self.delay:
            return 0.0
        import random  # noqa: PLC0415, takes 3 ms that `import motorpool` must not

        try:
            full = min(self.max_delay, self.delay * self.backoff ** (number - 1))
        except OverflowError:
            full = self.max_delay
        return full * (1.0 - self.jitter * random.random())  # noqa: S311, no secret


@lru_cache(maxsize=64)
def _so_often(count: int) -> Retry:
    """So many retries; of each number there is one, for each run asks."""
    return Retry(count)


def _is_exception_class(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
