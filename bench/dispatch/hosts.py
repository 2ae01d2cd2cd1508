"""Simulated computes: one process that answers for thousands of hosts, immediately and always with `cached`.

python -m bench.dispatch.hosts URL COUNT

The queues, the messages and the answers are those of oslo.messaging. A real server's dispatcher and its thread per call
are left out, so that the caller gets the processors. The caller cannot notice the difference.
"""

from __future__ import annotations

import queue
import sys
import threading
from typing import Any

from oslo_config import cfg

from precache.adapters.bus_oslo import open_bus
from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.topics import COMPUTE_TOPIC, EXCHANGE

ANSWERING_THREADS = 4  # an answer waits for the broker's confirmation, so several are sent in parallel


def host_names(count: int) -> list[str]:
    return [f"sim-{number:05d}" for number in range(count)]


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    conf = cfg.ConfigOpts()
    conf([])
    listener = listen(open_bus(conf, url), host_names(count))
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(ANSWERING_THREADS):
        threading.Thread(target=_answer_all, args=(requests,), daemon=True).start()
    print("ready", flush=True)
    threading.Thread(target=_end_with_input, daemon=True).start()
    while True:
        for request in listener.poll(timeout=1) or ():
            requests.put(request)


def listen(bus: Bus, names: list[str]) -> Any:
    """Return a listener to the queues of all hosts on one connection; servers would need one connection each."""
    # Internals of the library, which has no server for many names.
    from oslo_messaging._drivers.amqpdriver import RpcAMQPListener
    from oslo_messaging._drivers.common import PURPOSE_LISTEN

    driver = bus.transport._driver
    connection = driver._get_connection(PURPOSE_LISTEN)
    listener = RpcAMQPListener(driver, connection)
    for name in names:
        connection.declare_topic_consumer(exchange_name=EXCHANGE, topic=f"{COMPUTE_TOPIC}.{name}", callback=listener)
    listener.poll(timeout=0.1)  # which begins to consume
    return listener


def _answer_all(requests: queue.SimpleQueue[Any]) -> None:
    while True:
        incoming = requests.get()
        images = incoming.message["args"]["images"]
        incoming.reply({"results": [{"image": image, "outcome": "cached", "bytes_moved": 1} for image in images]})


def _end_with_input() -> None:
    sys.stdin.read()
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
