"""Several questions at the same time, none of which can keep us waiting for longer than it may.

What has not answered by then goes on in a thread that ends with the process; its answer is never looked at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Unanswered
from typing import TypeVar

Answer = TypeVar("Answer")


def side_by_side(calls: Sequence[tuple[Callable[[], Answer], float]]) -> list[Answer | None]:
    """Make every call and return each result, None where it took longer than its seconds. Raises what a call raises."""
    begun = time.monotonic()
    futures = [_begin(call) for call, _ in calls]
    answers: list[Answer | None] = []
    for future, (_, patience_s) in zip(futures, calls, strict=True):
        try:
            answers.append(future.result(max(0.0, begun + patience_s - time.monotonic())))
        except Unanswered:
            answers.append(None)
    return answers


def _begin(call: Callable[[], Answer]) -> Future[Answer]:
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  handed to whoever waits for the answer
            future.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return future
