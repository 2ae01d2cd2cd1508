"""`precache serve compute`: run the compute of this host."""

from __future__ import annotations

import argparse

from precache.wiring.commands.serving import ServeCommand, serve_until_told
from precache.wiring.compute_process import ComputeProcess


class ServeCompute(ServeCommand):
    """Run the compute of this host: it fills the image cache on request of a conductor.

    Run one on each compute host beside nova-compute, as the same user.

    Example:
      precache serve compute --config-file /etc/precache/precache.conf
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        serve_until_told(
            ComputeProcess(config=self.configured(parsed_args)),
            print_message=self.print_message,
            greeting=lambda host: f"The compute of host {host} runs. Ctrl-C ends it.",
            farewell="Stopping; running transfers are aborted and leave no file.",
        )
