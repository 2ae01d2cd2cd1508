"""Runs all checks, each with a time limit, also if some of them fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from precache.background.threads import call_in_thread
from precache.config.load import Config
from precache.core.errors import InvariantBroken, PrecacheError
from precache.doctor.findings import Finding, failed, failure

TIMEOUT_S = 8.0
"""A healthy service answers faster. Libraries try some calls twice, for a few seconds each."""


T = TypeVar("T")

OnBug = Callable[[Exception], None]


def _ignore(_bug: Exception) -> None:
    """Do nothing: the finding says enough."""


@dataclass(frozen=True, slots=True)
class Check:
    """look: returns the findings. A PrecacheError is a failure."""

    name: str
    look: Callable[[Config], Iterable[Finding]]
    timeout_s: float = TIMEOUT_S


def examine(config: Config, checks: Sequence[Check], on_bug: OnBug = _ignore) -> list[tuple[str, Finding]]:
    """Return the findings with the names of their checks, in the order of the checks.

    on_bug: called with an unexpected exception, from any thread.
    """
    found = run_concurrently([(partial(_run_check, check, config, on_bug), check.timeout_s) for check in checks])
    return [
        (check.name, finding)
        for check, findings in zip(checks, found, strict=True)
        for finding in (findings if findings is not None else [_unanswered(check)])
    ]


def run_concurrently(calls: Sequence[tuple[Callable[[], T], float]]) -> list[T | None]:
    """Make all calls at once and return their results, None where one took longer than its seconds.

    Raises what a call raises. A call that takes longer continues in a thread that ends with the process.
    """
    began = time.monotonic()
    futures = [call_in_thread(call, name="doctor") for call, _ in calls]
    results: list[T | None] = []
    for future, (_, timeout_s) in zip(futures, calls, strict=True):
        try:
            results.append(future.result(max(0.0, began + timeout_s - time.monotonic())))
        except TimeoutError:
            results.append(None)
    return results


def _run_check(check: Check, config: Config, on_bug: OnBug) -> list[Finding]:
    try:
        return list(check.look(config))
    except PrecacheError as error:
        return [failure(error)]
    except OSError as error:
        return [_os_failure(error)]
    except Exception as error:  # noqa: BLE001  one check's bug must not hide what the others found
        on_bug(error)
        return [failed(f"the check itself failed: {type(error).__name__}", InvariantBroken.usual_advice)]


def _os_failure(error: OSError) -> Finding:
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return failed(reason, "check that the service of this check can be reached from here")
    return failed(f"{error.filename}: {reason}", "run this command as the user that the process runs as")


def _unanswered(check: Check) -> Finding:
    return failed(
        f"no answer within {check.timeout_s:.0f} seconds",
        "check that the machine is up, and that no firewall drops the packets",
    )
