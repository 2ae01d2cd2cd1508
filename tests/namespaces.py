"""Hosts of a site in network namespaces, with links of a fixed rate, for tests and benchmarks of swarms.

Every namespace is held by a process of this run and has no name outside of it: two runs at the same time cannot meet,
and what a killed run leaves is ended by the guardian. Interfaces are made inside these namespaces only. Needs root.

Each link is shaped in both directions by a token bucket (`tbf`): what a host sends, on its own interface, and what it
receives, on the port of the bridge. A bucket of 16 kB is less than a piece, so that a host that would pass on whole
pieces only, one after the other, is seen; a large one hides that.
"""

from __future__ import annotations

import ctypes
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.lab.network import BRIDGE, Machine, why_no_namespaces

STRICT_BURST_BYTES = 16_000
STRICT_PACKET_BYTES = 14_000
LARGEST_PACKET_BYTES = 65_536
QUEUE_MS = 20

ORIGIN_ADDRESS = "10.77.0.2"
FIRST_HOST = 11
MOST_HOSTS = 200
_AT_ONCE = 8
_NETWORK = 0x4000_0000  # CLONE_NEWNET

T = TypeVar("T")


class ShapedNetwork:
    """A bridge, an origin (for the image service), and hosts; each has one link to the bridge.

    hosts: by name. Rates are of the link, in bits per second; headers are included, so that 4.5 % are lost to them.
    """

    def __init__(
        self,
        bridge: Machine,
        origin: Machine,
        hosts: Sequence[Machine],
        *,
        burst_bytes: int,
        packet_bytes: int,
        queue_ms: int,
    ) -> None:
        self._bridge, self.origin = bridge, origin
        self.hosts = {host.name: host for host in hosts}
        self.burst_bytes, self._packet_bytes, self._queue_ms = burst_bytes, packet_bytes, queue_ms
        self._ports = {machine.name: f"port{number}" for number, machine in enumerate((origin, *hosts))}

    def set_rate(self, machine: Machine, bits_per_s: int) -> None:
        """Give the link of a machine this rate in both directions, now, also while it is used."""
        bucket = f"root tbf rate {bits_per_s}bit burst {self.burst_bytes}b latency {self._queue_ms}ms"
        _run([*machine.inside, "tc", "qdisc", "replace", "dev", "eth0", *bucket.split()])
        _run([*self._bridge.inside, "tc", "qdisc", "replace", "dev", self._ports[machine.name], *bucket.split()])

    def cut(self, machine: Machine) -> None:
        """Drop all packets to and from a machine from now on, as if its power were gone: no connection is reset."""
        self._set_port(machine, "disabled")

    def mend(self, machine: Machine) -> None:
        """Let its packets through again."""
        self._set_port(machine, "forwarding")

    def received_bytes(self, machine: Machine) -> int:
        """Return how many bytes the machine's link has received, with headers."""
        lines = _run([*machine.inside, "cat", "/proc/net/dev"]).splitlines()
        return next(int(line.split()[1]) for line in lines if line.strip().startswith("eth0:"))

    @contextmanager
    def jitter(self, rates: dict[str, int], share: float, seed: int, every_s: float = 0.5) -> Iterator[None]:
        """Change the rate of each of these hosts again and again while the block runs.

        rates: by host. share: how far from its rate it may be, such as 0.5. Random numbers are from the seed.
        """
        chance, is_over = random.Random(seed), threading.Event()

        def change() -> None:
            while not is_over.wait(every_s / len(rates)):
                name = chance.choice(list(rates))
                self.set_rate(self.hosts[name], int(rates[name] * chance.uniform(1 - share, 1 + share)))

        thread = threading.Thread(target=change, name="jitter")
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _set_address(self, machine: Machine) -> None:
        # Without ARP: all namespaces share one table of neighbours, which a mesh of 32 hosts would fill.
        others = [other for other in (self.origin, *self.hosts.values()) if other is not machine]
        lines = (
            f"link set dev eth0 address {_hardware_address(machine)}",
            f"address add {machine.address}/24 dev eth0",
            f"link set dev eth0 gso_max_size {self._packet_bytes}",
            "link set eth0 up",
            *(
                f"neigh add {other.address} lladdr {_hardware_address(other)} dev eth0 nud permanent"
                for other in others
            ),
        )
        _run([*machine.inside, "ip", "-batch", "-"], "\n".join(lines))

    def _set_port(self, machine: Machine, state: str) -> None:
        _run([*self._bridge.inside, "bridge", "link", "set", "dev", self._ports[machine.name], "state", state])

    def connect(self) -> None:
        """Make the links, which have no limit yet."""
        lines = [f"link add {BRIDGE} type bridge forward_delay 0", f"link set {BRIDGE} up"]
        for machine in (self.origin, *self.hosts.values()):
            port = self._ports[machine.name]
            lines.append(f"link add {port} type veth peer name eth0 netns {machine.pid}")
            lines.append(f"link set dev {port} gso_max_size {self._packet_bytes}")
            lines.append(f"link set {port} master {BRIDGE} up")
        _run([*self._bridge.inside, "ip", "-batch", "-"], "\n".join(lines))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._set_address, (self.origin, *self.hosts.values())))

    def set_rates(self, hosts_bits_per_s: int, origin_bits_per_s: int) -> None:
        """Give the links of all hosts one rate, and that of the origin another."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda host: self.set_rate(host, hosts_bits_per_s), self.hosts.values()))
        self.set_rate(self.origin, origin_bits_per_s)


def call_inside(machine: Machine, function: Callable[[], T]) -> T:
    """Call the function in the network of a machine, in a thread of this process, and return its result."""

    def call() -> T:
        with Path(f"/proc/{machine.pid}/ns/net").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NETWORK):
                raise OSError(ctypes.get_errno(), f"the namespace of {machine.name} cannot be entered")
        return function()

    with ThreadPoolExecutor(1) as pool:  # the thread ends, and its namespace with it
        return pool.submit(call).result()


@contextmanager
def shaped_network(
    folder: Path,
    *,
    hosts: int,
    bits_per_s: int,
    origin_bits_per_s: int,
    burst_bytes: int = STRICT_BURST_BYTES,
    packet_bytes: int = STRICT_PACKET_BYTES,
    queue_ms: int = QUEUE_MS,
) -> Iterator[ShapedNetwork]:
    """Make a network of hosts `host-1` and so on, and remove it at the end, whatever has happened.

    folder: for the output of the processes that hold the namespaces. packet_bytes: the size of the largest packets. The
    kernel cuts those that are larger than the bucket into frames, which costs half of the processor time; but where
    many connections share a link, a queue with few large packets starves some of them. queue_ms: how long a packet may
    wait in a link before it is dropped.
    """
    assert 0 < hosts <= MOST_HOSTS
    named = [("bridge", "10.77.0.1"), ("origin", ORIGIN_ADDRESS)]
    named += [(f"host-{number + 1}", f"10.77.0.{FIRST_HOST + number}") for number in range(hosts)]
    machines: list[Machine] = []

    def make(name_and_address: tuple[str, str]) -> None:
        machines.append(Machine(*name_and_address, folder))

    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(make, named))
        found = {machine.name: machine for machine in machines}
        bridge, origin, *others = (found[name] for name, _ in named)
        network = ShapedNetwork(
            bridge, origin, others, burst_bytes=burst_bytes, packet_bytes=packet_bytes, queue_ms=queue_ms
        )
        network.connect()
        network.set_rates(bits_per_s, origin_bits_per_s)
        yield network
    finally:
        for machine in machines:
            machine.close()


def why_no_shaped_network() -> str | None:
    """Return why such a network cannot be made here, None if it can."""
    why_not = why_no_namespaces()
    if why_not is not None:
        return why_not
    for tool in ("tc", "bridge"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    words = "root tbf rate 1mbit burst 16kb latency 100ms"
    done = subprocess.run(
        ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", *words.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else f"links cannot be shaped here: {done.stderr.strip()}"


def _hardware_address(machine: Machine) -> str:
    return f"02:00:00:00:00:{int(machine.address.rpartition('.')[2]):02x}"


def _run(command: Sequence[str], lines: str = "") -> str:
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
