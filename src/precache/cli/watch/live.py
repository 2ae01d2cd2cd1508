"""The live view of `precache job watch` in a terminal. Imports rich; imported only for a terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live

from precache.cli.wait.snapshot import TaskView
from precache.cli.watch.job_model import JobModel
from precache.cli.watch.picture import screen

_CURSOR_LINE = 1


class LiveWatch:
    """Redraws the screen after changes, and when the terminal gets another size. It needs no thread.

    The screen is erased at the end: the closing report and the result replace it.
    """

    def __init__(self, *, stream: TextIO, site_of: Callable[[TaskView], str]) -> None:
        self._site_of = site_of
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._last: tuple[JobModel, str] | None = None
        self._is_drawing = self._is_resized = False
        self._handler_before: Any = None

    def __enter__(self) -> LiveWatch:
        self._live.__enter__()
        with suppress(ValueError):  # not the main thread: then the size is noticed with the next change
            self._handler_before = signal.signal(signal.SIGWINCH, self._on_resize)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):
            signal.signal(signal.SIGWINCH, self._handler_before)
        self._live.stop()

    def show(self, model: JobModel) -> None:
        self._draw(model, "")

    def silence(self, message: str) -> None:
        if self._last is not None:
            self._draw(self._last[0], f"{message}; still waiting")

    def _on_resize(self, _number: int, _frame: FrameType | None) -> None:
        # The signal may come while the screen is drawn; then it is drawn again after that.
        self._is_resized = True
        if not self._is_drawing and self._last is not None:
            self._draw(*self._last)

    def _draw(self, model: JobModel, note: str) -> None:
        self._last = model, note
        self._is_drawing = True
        try:
            while True:
                self._is_resized = False
                lines = max(1, self._console.size.height - _CURSOR_LINE)
                self._live.update(screen(model, site_of=self._site_of, lines=lines, note=note), refresh=True)
                if not self._is_resized:
                    return
        finally:
            self._is_drawing = False
