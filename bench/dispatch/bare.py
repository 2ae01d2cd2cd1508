"""A bare client of oslo.messaging: only the same calls to the same hosts.

python -m bench.dispatch.bare URL CONCURRENCY

Answers each line `COUNT` with the seconds that it took to call COUNT hosts once each.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from oslo_config import cfg

from bench.dispatch.hosts import host_names
from precache.adapters.bus_oslo import open_bus
from precache.adapters.bus_oslo.topics import COMPUTE_TOPIC, EXCHANGE, RPC_VERSION

TIMEOUT_S, MONITOR_S = 1800, 40  # as a conductor's


def main() -> None:
    url, concurrency = sys.argv[1], int(sys.argv[2])
    conf = cfg.ConfigOpts()
    conf([])
    # The same transport as in Precache; otherwise the queues would be declared differently.
    client = _client(open_bus(conf, url).transport)
    with ThreadPoolExecutor(concurrency) as pool:
        print("ready", flush=True)
        for line in sys.stdin:
            names = host_names(int(line))
            job = str(uuid.uuid4())
            began = time.perf_counter()
            answers = list(pool.map(lambda name, job=job: _call(client, name, job), names))
            seconds = time.perf_counter() - began
            assert all(answer["results"] for answer in answers)
            print(json.dumps({"seconds": seconds}), flush=True)


def _client(transport: Any) -> Any:
    import oslo_messaging  # after the adapter, which chooses the kind of threads

    target = oslo_messaging.Target(exchange=EXCHANGE, topic=COMPUTE_TOPIC, version=RPC_VERSION)
    return oslo_messaging.get_rpc_client(transport, target, timeout=TIMEOUT_S, call_monitor_timeout=MONITOR_S)


def _call(client: Any, host: str, job: str) -> Any:
    message = {"job_id": job, "host": host, "cell": "cell1", "images": [job], "expires_at": round(time.time() + 40, 3)}
    return client.prepare(server=host).call({}, "cache_images", **message)


if __name__ == "__main__":
    main()
