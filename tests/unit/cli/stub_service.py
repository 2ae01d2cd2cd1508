"""A small real HTTP server that speaks the service's contract, and says what it was asked.

It keeps aggregates, images, hosts and jobs as plain dictionaries. A job is a list of frames: each look at it
moves on to the next one, so that time passes by being asked and no test has to sleep.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

JOB_ID = "0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11"
DEBIAN = "70a599e0-31e7-49b7-b260-868f441e862b"
UBUNTU = "155d900f-4e14-4e4c-a73d-069cbf4541e6"


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def task(host: str, image: str = DEBIAN, **fields: Any) -> dict[str, Any]:
    return {
        "host": host,
        "cell": "cell1",
        "image": image,
        "image_name": "debian-12" if image == DEBIAN else None,
        "state": "ended" if fields.get("outcome") else "waiting",
        "outcome": None,
        "phase": "waiting" if fields.get("state") == "running" else None,
        "bytes_done": 0,
        "bytes_total": 0,
        "attempts": 1,
        "failures": 0,
        "reason": "",
        "started_at": None,
        "finished_at": None,
    } | fields


def job(state: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    outcomes = [one["outcome"] for one in tasks if one["outcome"]]
    return {
        "id": JOB_ID,
        "state": state,
        "aggregate": {"id": 1, "uuid": "788608ec-ebdc-45c5-bc7f-e5f24ab92c80", "name": "web"},
        "host": None,
        "images": [DEBIAN],
        "image_names": {DEBIAN: "debian-12"},
        "requested_by": "admin",
        "created_at": "2026-01-02T03:04:05Z",
        "started_at": None,
        "cancel_requested_at": None,
        "finished_at": None,
        "task_count": len(tasks),
        "counts": {outcome: outcomes.count(outcome) for outcome in outcomes},
    }


class StubService:
    """The state, and the requests seen. `replies` overrides what (method, path) would get."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: dict[tuple[str, str], Reply | Callable[[], Reply]] = {}
        self.aggregates: list[dict[str, Any]] = [self.aggregate(1, "web", ["cmp-1", "cmp-2"])]
        self.unread_files = 0
        self.images: list[dict[str, Any]] = [self.image(DEBIAN, "debian-12"), self.image(UBUNTU, "ubuntu-24")]
        self.hosts = [
            {
                "name": "cmp-1",
                "cell": "cell1",
                "site": "north",
                "state": "up",
                "forced_down": False,
                "driver": "libvirt",
                "release": "0.1.0",
                "rpc_version": "1.0",
                "last_seen": "2026-01-02T03:04:05Z",
            }
        ]
        self.frames: list[tuple[str, list[dict[str, Any]]]] = [("succeeded", [task("cmp-1", outcome="cached")])]
        self.jobs: list[dict[str, Any]] = []
        self.gives_job_id = True
        self.cancelled: set[str] = set()  # ids of jobs that were asked to end
        self.page_size = 1000
        self.url = ""

    @staticmethod
    def aggregate(number: int, name: str, hosts: list[str]) -> dict[str, Any]:
        return {
            "id": number,
            "uuid": f"788608ec-ebdc-45c5-bc7f-{number:012d}",
            "name": name,
            "availability_zone": None,
            "hosts": hosts,
            "metadata": {},
            "created_at": "2026-01-02T03:04:05.000000",
            "updated_at": None,
            "deleted": False,
            "deleted_at": None,
        }

    @staticmethod
    def image(image_id: str, name: str) -> dict[str, Any]:
        return {
            "id": image_id,
            "name": name,
            "status": "active",
            "disk_format": "qcow2",
            "size": 1_300_000_000,
            "virtual_size": None,
        }

    def answer(self, asked: Asked) -> Reply:
        override = self.replies.get((asked.method, asked.path))
        if override is not None:
            return override() if callable(override) else override
        area, _, rest = asked.path.lstrip("/").partition("/")
        if area == "compute":
            return self._compute(asked, rest.removeprefix("v2.1/os-aggregates").strip("/"))
        if area == "image":
            return self._image(asked, rest.removeprefix("v2/images").strip("/"))
        return self._own(asked, rest)

    def requests(self, method: str) -> list[str]:
        return [one.path for one in self.asked if one.method == method]

    def _compute(self, asked: Asked, rest: str) -> Reply:
        if asked.headers.get("openstack-api-version") != "compute 2.81":
            return Reply(404, {"itemNotFound": {"code": 404, "message": "The resource could not be found."}})
        if not rest:
            if asked.method == "GET":
                return Reply(200, {"aggregates": self.aggregates})
            made = self.aggregate(len(self.aggregates) + 1, asked.body["aggregate"]["name"], [])
            made["availability_zone"] = asked.body["aggregate"].get("availability_zone")
            self.aggregates.append(made)
            return Reply(200, {"aggregate": made})
        number, _, verb = rest.partition("/")
        found = next((one for one in self.aggregates if str(one["id"]) == number), None)
        if found is None:
            return Reply(404, {"itemNotFound": {"code": 404, "message": f"Aggregate {number} could not be found."}})
        return self._one_aggregate(asked, found, verb)

    def _one_aggregate(self, asked: Asked, found: dict[str, Any], verb: str) -> Reply:
        if verb == "images":
            return Reply(202, None, {"X-Precache-Job-Id": JOB_ID} if self.gives_job_id else {})
        if asked.method == "DELETE":
            self.aggregates.remove(found)
            return Reply(200)
        if asked.method == "PUT":
            found.update(asked.body["aggregate"])
        elif verb == "action":
            ((action, what),) = asked.body.items()
            if action == "add_host":
                found["hosts"] = [*found["hosts"], what["host"]]
            elif action == "remove_host":
                found["hosts"] = [host for host in found["hosts"] if host != what["host"]]
            else:
                found["metadata"] = {
                    k: v for k, v in {**found["metadata"], **what["metadata"]}.items() if v is not None
                }
        return Reply(200, {"aggregate": found})

    def _image(self, asked: Asked, rest: str) -> Reply:
        if rest:
            found = next((one for one in self.images if one["id"] == rest), None)
            return Reply(200, found) if found else Reply(404, "<html>404 Not Found</html>")
        query = asked.query.get("name", "")
        if ":" in query and not query.startswith("eq:"):
            return Reply(400, "<html>400 Unable to filter by unknown operator</html>")
        named = [one for one in self.images if query.removeprefix("eq:") in ("", one["name"])]
        begin = next((n + 1 for n, one in enumerate(named) if one["id"] == asked.query.get("marker")), 0)
        page = named[begin : begin + self.page_size]
        answer: dict[str, Any] = {"images": page, "first": "/v2/images"}
        if self.unread_files:
            answer["unread_files"] = self.unread_files
        if begin + self.page_size < len(named):
            answer["next"] = f"/v2/images?marker={page[-1]['id']}"
        return Reply(200, answer)

    def _own(self, asked: Asked, rest: str) -> Reply:
        noun, _, name = rest.partition("/")
        if noun == "hosts":
            if asked.method == "GET":
                return self._page(asked, "hosts", self.hosts, lambda host: host["name"])
            name, _, verb = name.partition("/") if asked.method == "POST" else (name, "", "")
            found = next((one for one in self.hosts if one["name"] == name), None)
            if found is None:
                return self._missing(f"Compute host {name} could not be found.")
            if verb == "images":
                return Reply(202, {"job": job("queued") | {"aggregate": None, "host": name}})
            if asked.method == "DELETE":
                self.hosts.remove(found)
                return Reply(204)
            return Reply(200, {"host": found | asked.body})
        if not name:
            known = [one for one in self.jobs if asked.query.get("state", one["state"]) == one["state"]]
            return self._page(asked, "jobs", known, lambda job: job["id"])
        job_id, _, verb = name.partition("/")
        if job_id not in (JOB_ID, *(one["id"] for one in self.jobs)):
            return self._missing(f"Job {job_id} could not be found.")
        state, tasks = self.frames[0]
        if verb == "cancel":
            self.cancelled.add(job_id)
            return Reply(202, {"job": self._job(job_id, state, tasks)})
        if name.endswith("/tasks"):
            if len(self.frames) > 1:
                self.frames.pop(0)
            filters = {name: value for name, value in asked.query.items() if name not in ("limit", "marker")}
            only = [one for one in tasks if all(one[name] == value for name, value in filters.items())]
            return self._page(asked, "tasks", only, lambda task: f"{task['host']}:{task['image']}")
        return Reply(200, {"job": self._job(job_id, state, tasks)})

    def _job(self, job_id: str, state: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
        requested_at = "2026-01-02T03:04:06Z" if job_id in self.cancelled else None
        return job(state, *tasks) | {"id": job_id, "cancel_requested_at": requested_at}

    def _page(
        self, asked: Asked, member: str, items: list[dict[str, Any]], marker: Callable[[dict[str, Any]], str]
    ) -> Reply:
        begin = next((n + 1 for n, one in enumerate(items) if marker(one) == asked.query.get("marker")), 0)
        limit = min(int(asked.query.get("limit", "1000")), self.page_size)
        page = items[begin : begin + limit]
        answer: dict[str, Any] = {member: page}
        if begin + limit < len(items):
            query = urlencode({**asked.query, "marker": marker(page[-1])}, doseq=True)
            answer[f"{member}_links"] = [{"rel": "next", "href": f"http://inside/v1/anything?{query}"}]
        return Reply(200, answer)

    @staticmethod
    def _missing(message: str) -> Reply:
        return Reply(404, {"error": {"code": "precache.not_found", "message": message, "request_id": "req-1"}})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: StubService

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(
            method=self.command,
            path=unquote(parts.path),
            query={
                key: values if len(values) > 1 else values[0]
                for key, values in parse_qs(parts.query, keep_blank_values=True).items()
            },
            headers={key.lower(): value for key, value in self.headers.items()},
            body=json.loads(raw) if raw else None,
        )
        self.service.asked.append(asked)
        reply = self.service.answer(asked)
        is_text = isinstance(reply.body, str)
        payload = b"" if reply.body is None else (reply.body if is_text else json.dumps(reply.body)).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/html" if is_text else "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def log_message(self, *args: object) -> None:
        """The requests are kept; nothing is printed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves early is part of the tests."""


class Serving:
    """A context in which the stub listens on a loopback port of its own."""

    def __init__(self, service: StubService, tls: ssl.SSLContext | None = None) -> None:
        handler = type("Handler", (_Handler,), {"service": service})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        service.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
