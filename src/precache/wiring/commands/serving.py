"""The shared parts of commands that run a process until a signal ends it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from precache.background.dead_threads import DeadThreads
from precache.cli.command import Command
from precache.cli.exit_codes import ExitCode
from precache.config.load import Config, load_config
from precache.core.errors import ThreadDied
from precache.wiring.commands.options import add_config_file
from precache.wiring.end_signals import EndSignals
from precache.wiring.leaving import leave_waiting_threads
from precache.wiring.log_output import start_logging

LEAVING_PATIENCE = timedelta(seconds=1)
"""How long to wait for threads that were told to end; they usually need much less."""


class Runs(Protocol):
    """A service that a process runs. Call `stop` after a failed `start`, too."""

    def start(self) -> str:
        """Start it; return the URL or host for the greeting."""
        ...

    def stop(self) -> None: ...


def serve_until_told(
    service: Runs, *, tell: Callable[[str], None], greeting: Callable[[str], str], farewell: str
) -> None:
    """Run the service until Ctrl-C or SIGTERM. greeting: makes the greeting from the result of `start`.

    Raises ThreadDied, after stopping the service, if a thread of the process ends by a bug.
    """
    signals = EndSignals()
    deaths = DeadThreads(then=signals.end)
    with deaths.watched():
        try:
            started = service.start()
            tell(greeting(started))
            signals.wait()
            tell(farewell)
        finally:
            service.stop()
    try:
        deaths.check()
    except ThreadDied as death:
        tell(str(death))
        leave_waiting_threads(LEAVING_PATIENCE, status=ExitCode.REFUSED)
        raise
    leave_waiting_threads(LEAVING_PATIENCE)


class ServesPart(Command):
    """A command that runs one process of a deployment. Each is in its own file and imports only its own parts."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_config_file(parser)
        return parser

    def configured(self, parsed_args: argparse.Namespace) -> Config:
        """Start the log and return the configuration. The last word of the command's name is the process."""
        config = load_config(parsed_args.config_file)
        start_logging(config, process=(self.cmd_name or "").rpartition(" ")[2])
        return config
