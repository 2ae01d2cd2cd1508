"""The shared parts of commands that run a process until a signal ends it."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from precache.background.dead_threads import DeadThreads
from precache.cli.command import Command
from precache.cli.exit_codes import ExitCode
from precache.config.load import Config, load_config
from precache.core.errors import ThreadDied
from precache.wiring.commands.options import add_config_file
from precache.wiring.log_output import start_logging

_log = logging.getLogger(__name__)

ENDING = frozenset({signal.SIGINT, signal.SIGTERM})

LEAVING_PATIENCE = timedelta(seconds=1)
"""How long to wait for threads that were told to end; they usually need much less."""


class RunningService(Protocol):
    """A service that a process runs. Call `stop` after a failed `start`, too."""

    def start(self) -> str:
        """Start it; return the URL or host for the greeting."""
        ...

    def stop(self) -> None: ...


def serve_until_told(
    service: RunningService, *, print_message: Callable[[str], None], greeting: Callable[[str], str], farewell: str
) -> None:
    """Run the service until Ctrl-C or SIGTERM. greeting: makes the greeting from the result of `start`.

    Raises ThreadDied, after stopping the service, if a thread of the process ends by a bug.
    """
    signals = EndSignals()
    deaths = DeadThreads(then=signals.end)
    with deaths.watched():
        try:
            started = service.start()
            print_message(greeting(started))
            signals.wait()
            print_message(farewell)
        finally:
            service.stop()
    try:
        deaths.check()
    except ThreadDied as death:
        print_message(str(death))
        _exit_despite_waiting_threads(LEAVING_PATIENCE, status=ExitCode.REFUSED)
        raise
    _exit_despite_waiting_threads(LEAVING_PATIENCE)


class ServeCommand(Command):
    """A command that runs one process of a deployment. Each is in its own file and imports only its own parts."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_config_file(parser)

    def configured(self, parsed_args: argparse.Namespace) -> Config:
        """Start the log and return the configuration. The last word of the command's name is the process."""
        config = load_config(parsed_args.config_file)
        start_logging(config, process=(self.cmd_name or "").rpartition(" ")[2])
        return config


class EndSignals:
    """Catches both signals from its construction on; `wait` returns after one. Create it once, in the main thread.

    It uses a pipe instead of a lock: two signals in quick succession may both arrive in another thread, and a main
    thread that waits for a lock would not wake up. Any thread can write to the pipe.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in ENDING:
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Return when one of the signals has arrived, also if it arrived before the call."""
        while os.read(self._reader, 1)[0] not in ENDING:
            pass

    def end(self) -> None:
        """Make `wait` return as if a signal had arrived; from any thread."""
        with suppress(BlockingIOError):  # The pipe is full, so `wait` returns in any case.
            os.write(self._writer, bytes([signal.SIGTERM]))


def _exit_despite_waiting_threads(patience: timedelta, status: int = 0) -> None:
    """End the process with `status` if other threads than the main one remain after `patience`; else return.

    Call it when all parts are stopped. A thread that remains waits for an answer from outside, such as a silent image
    service. The interpreter would wait for it a minute and longer, for threads of a pool even if they are daemons; but
    their result is no longer needed.
    """
    waiting = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in waiting:
        thread.join(patience.total_seconds() / len(waiting))
    left = [thread.name for thread in waiting if thread.is_alive()]
    if not left:
        return
    _log.debug("Not waiting for these threads, which still wait for an answer: %s", ", ".join(left))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
