"""A webhook is told of every state of a job, also if the receiver is down and the service is killed meanwhile."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import random_raw
from tests.system.operating import aggregate, ended, ids, request, succeed, wait_until
from tools.local_service import LocalService

pytestmark = pytest.mark.system

KEY = "0123456789abcdef0123456789abcdef"


class Receiver:
    """Accepts what is signed; while `is_down`, answers 503."""

    def __init__(self) -> None:
        self.is_down = True
        self.refused = 0
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(outer.answer(self.path, self.headers["X-Precache-Signature"], body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str, header: str, body: bytes) -> int:
        at, _, signature = header.removeprefix("t=").partition(",v1=")
        assert signature == hmac.new(KEY.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        if self.is_down:
            self.refused += 1
            return 503
        self.accepted.append((path, json.loads(body)["payload"]["precache_object.data"]))
        return 200

    def states_of(self, job: str, path: str = "/all") -> list[str]:
        """Return the states of the job as they came at this path, each notice once."""
        told = [data for at, data in self.accepted if (at, data["job_id"]) == (path, job)]
        return list({data["notice_id"]: data["state"] for data in told}.values())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_no_state_is_lost_while_the_receiver_is_down_and_the_service_is_killed(
    new_service: Callable[..., LocalService], images: Path, receiver: Receiver
) -> None:
    random_raw(images / "web.raw", 1)
    service = new_service("cell1:cmp-1")
    environment = {
        "OS_NOTIFICATIONS__WEBHOOK_ALL": f"{receiver.url}/all",
        "OS_NOTIFICATIONS__WEBHOOK_URLS": f"{receiver.url}/own",
        "OS_NOTIFICATIONS__WEBHOOK_KEY": KEY,
        "OS_NOTIFICATIONS__WEBHOOK_ALLOW_HTTP": "true",
    }
    service.start(environment)
    first = request(service, aggregate(service, "cmp-1"), ids(service)["web"])
    ended(service, first)
    wait_until(lambda: receiver.refused)
    own = {"images": [{"image": "web"}], "target": {"hosts": ["cmp-1"]}, "notify_url": f"{receiver.url}/own/team"}
    second = str(succeed(service, "POST", "/v1/jobs", own).json()["job"]["id"])
    service.kill()  # before or after the notices of the second job were stored for the webhook

    receiver.is_down = False
    service.start(environment)
    ended(service, second)
    for path in ("/all", "/own/team"):
        wait_until(lambda path=path: receiver.states_of(second, path)[-1:] == ["succeeded"])

    assert receiver.states_of(first) == ["queued", "running", "succeeded"]
    assert receiver.states_of(second, "/own/team") == receiver.states_of(second)
    assert receiver.states_of(second)[:1] == ["queued"]
    assert receiver.states_of(first, "/own/team") == []
    told = [line for line in service.whole_log.splitlines() if "precache.job." in line and first in line]
    assert len({line[line.index("{") :] for line in told}) == 3  # the log is told, too
