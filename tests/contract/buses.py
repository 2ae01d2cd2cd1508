"""Both ends of a real message bus, in this process, for the suites."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

from oslo_config import cfg

from precache.adapters.bus_oslo import ComputeServer, OsloComputes, open_bus
from precache.adapters.bus_oslo.url import register_options
from precache.ports.compute_gateway import HostCompute
from tests.played_host import PlayedHost

PATIENCE = timedelta(seconds=10)


def new_conf(**rabbit: object) -> cfg.ConfigOpts:
    """Return a configuration as a process would have read it; rabbit: values of [oslo_messaging_rabbit]."""
    conf = cfg.ConfigOpts()
    conf([], project="precache", default_config_files=[], default_config_dirs=[])
    register_options(conf)
    for option, value in rabbit.items():
        conf.set_override(option, value, group="oslo_messaging_rabbit")
    return conf


class BusWorld:
    """Buses, computes and a gateway on one transport URL; `close` ends all of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._stops = ExitStack()
        self._servers: dict[str, ComputeServer] = {}

    def bus(self):
        """Return a bus of its own, as another process would have."""
        bus = open_bus(new_conf(), self.url)
        self._stops.callback(bus.close)
        return bus

    def gateway(self, *, long_s: float = 60, silence_s: float = 10, **options: object) -> OsloComputes:
        bus = self.bus()
        gateway = OsloComputes(
            buses=lambda cell: bus,
            long_rpc_timeout=timedelta(seconds=long_s),
            call_monitor_timeout=timedelta(seconds=silence_s),
            **options,
        )
        self._stops.callback(gateway.stop)
        return gateway

    def join(self, host: str, compute: HostCompute | Callable, cancel_job=None, **options: int) -> ComputeServer:
        """Have it answer for the host. compute: a host, or its function `process_images`."""
        played = PlayedHost(compute, cancel_job) if callable(compute) else compute
        server = ComputeServer(bus=self.bus(), host=host, compute=played, **options)
        server.start()
        self._stops.callback(server.stop, PATIENCE)
        assert server.wait_until_listening(timedelta(seconds=20))
        self._servers[host] = server
        return server

    def leave(self, host: str) -> None:
        self._servers.pop(host).stop(PATIENCE)

    def close(self) -> None:
        self._stops.close()
