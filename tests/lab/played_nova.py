"""A compute API that a test leads: hosts, their services and aggregates, as Nova's API answers from 2.1 to 2.96.

It is not Nova, but it behaves alike: `NovaOperator` makes the same aggregates by the same calls in a real Nova, and the
same tests run on both.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

NEWEST = (2, 96)
_AGGREGATE = re.compile(r"/v2\.1/os-aggregates/(-?\d+)(/action)?")
_SERVICE = re.compile(r"/v2\.1/os-services/([0-9a-f-]+)")


class PlayedNova:
    """Listens on loopback from `with` to its end; `url` is the endpoint, with its version.

    tokens: the accepted tokens, each with its role; empty to accept every caller.
    requests: method and path of each so far. refusals: statuses that the next requests get instead of an answer.
    """

    def __init__(self):
        self.tokens = {}
        self.requests = []
        self.refusals = []
        self.now = None
        self._port = 0
        self._aggregates = {}
        self._services = {}
        self._ids = 0
        self._lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}/v2.1"

    def __enter__(self):
        self._open()
        return self

    def __exit__(self, *error):
        self._close()

    @contextmanager
    def away(self):
        """Refuse every connection meanwhile, and afterwards be back at the same address."""
        self._close()
        try:
            yield
        finally:
            self._open()

    def add_compute(self, host, **fields):
        """Register a nova-compute, as it does itself; `fields` differ from those of one that is up."""
        with self._lock:
            known = self._services.setdefault(host, _service(host))
            known.update(fields)

    def remove_compute(self, host):
        with self._lock:
            del self._services[host]

    def forget_update(self, aggregate_id):
        """Let the aggregate look as if it had been made in one step."""
        with self._lock:
            self._aggregates[aggregate_id]["updated_at"] = None

    def answer(self, method, path, body, microversion):
        """Return status and document for one request."""
        with self._lock:
            if path.startswith("/v2.1/os-services"):
                return self._answer_service(method, path, body)
            if path == "/v2.1/os-aggregates":
                return self._list(microversion) if method == "GET" else self._create(body, microversion)
            match = _AGGREGATE.fullmatch(path)
            aggregate = self._aggregates.get(int(match[1])) if match else None
            if aggregate is None:
                which = f"Aggregate {match[1]} could not be found." if match else "The resource could not be found."
                return _refused(404, "itemNotFound", which)
            return self._answer_one(method, bool(match[2]), aggregate, body, microversion)

    def _answer_service(self, method, path, body):
        if method == "GET":
            wanted = path.partition("?binary=")[2]
            return 200, {"services": [each for each in self._services.values() if wanted in ("", each["binary"])]}
        service_id = _SERVICE.fullmatch(path)[1]
        service = next(each for each in self._services.values() if each["id"] == service_id)
        service.update(body)
        if body.get("forced_down") is not None:
            service["state"] = "down" if body["forced_down"] else "up"
        return 200, {"service": service}

    def _list(self, microversion):
        return 200, {"aggregates": [_view(each, microversion) for each in self._aggregates.values()]}

    def _create(self, body, microversion):
        name, zone = body["aggregate"]["name"], body["aggregate"].get("availability_zone")
        if any(each["name"] == name for each in self._aggregates.values()):
            return _refused(409, "conflictingRequest", f"Aggregate {name} already exists.")
        self._ids += 1
        made = {
            "id": self._ids,
            "uuid": str(uuid.uuid4()),
            "name": name,
            "hosts": [],
            "metadata": {"availability_zone": zone} if zone else {},
            "created_at": self._instant(),
            "updated_at": None,
            "deleted": False,
            "deleted_at": None,
        }
        self._aggregates[self._ids] = made
        view = _view(made, microversion)
        del view["hosts"], view["metadata"]
        return 200, {"aggregate": view}

    def _answer_one(self, method, is_action, aggregate, body, microversion):
        if method == "DELETE":
            if aggregate["hosts"]:
                return _refused(400, "badRequest", f"Cannot remove aggregate {aggregate['id']}: it is not empty.")
            del self._aggregates[aggregate["id"]]
            return 200, None
        if method == "PUT":
            aggregate.update(body["aggregate"], updated_at=self._instant())
        elif is_action:
            [(action, fields)] = body.items()
            refusal = getattr(self, f"_{action}")(aggregate, fields)
            if refusal is not None:
                return refusal
            aggregate["updated_at"] = self._instant()
        return 200, {"aggregate": _view(aggregate, microversion)}

    def _set_metadata(self, aggregate, fields):
        merged = {**aggregate["metadata"], **fields["metadata"]}
        aggregate["metadata"] = {key: value for key, value in merged.items() if value is not None}

    def _add_host(self, aggregate, fields):
        if fields["host"] not in self._services:
            return _refused(404, "itemNotFound", f"Compute host {fields['host']} could not be found.")
        if fields["host"] in aggregate["hosts"]:
            return _refused(409, "conflictingRequest", f"Aggregate already has host {fields['host']}.")
        aggregate["hosts"].append(fields["host"])
        return None

    def _remove_host(self, aggregate, fields):
        if fields["host"] not in aggregate["hosts"]:
            return _refused(404, "itemNotFound", f"Cannot remove host {fields['host']}")
        aggregate["hosts"].remove(fields["host"])
        return None

    def _instant(self):
        # Nova writes UTC without saying so.
        return (self.now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")

    def _open(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _Handler)
        self._server.played = self
        self._port = self._server.server_port
        poll_s = 0.02  # how often it looks whether it should stop
        threading.Thread(target=self._server.serve_forever, args=(poll_s,), daemon=True).start()

    def _close(self):
        self._server.shutdown()
        self._server.server_close()


def _service(host):
    return {
        "id": str(uuid.uuid4()),
        "binary": "nova-compute",
        "host": host,
        "zone": "nova",
        "status": "enabled",
        "state": "up",
        "forced_down": False,
        "disabled_reason": None,
        "updated_at": "2026-03-01T12:00:00.000000",
    }


def _view(aggregate, microversion):
    view = {**aggregate, "availability_zone": aggregate["metadata"].get("availability_zone")}
    if microversion < (2, 41):
        del view["uuid"]
    return view


def _refused(status, word, message):
    return status, {word: {"code": status, "message": message}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self):
        self.close_connection = True  # so that being away is seen at once
        played = self.server.played
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        played.requests.append(f"{self.command} {self.path}")
        status, document = self._refusal() or played.answer(self.command, self.path, body, self._microversion())
        # The client may disconnect at any moment, as many tests intend.
        with suppress(OSError):
            self._send(status, document)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815  http.server decides the names

    def _refusal(self):
        played = self.server.played
        if played.refusals:
            status = played.refusals.pop(0)
            return _refused(status, "computeFault", "as the test wants it")
        role = played.tokens.get(self.headers.get("X-Auth-Token")) if played.tokens else "admin"
        if role is None:
            return 401, {"error": {"code": 401, "title": "Unauthorized"}}
        if role != "admin":
            return _refused(403, "forbidden", "Policy doesn't allow it to be performed.")
        if self._microversion() > NEWEST:
            return _refused(406, "computeFault", "Version is not supported by the API.")
        return None

    def _microversion(self):
        words = self.headers.get("OpenStack-API-Version", "compute 2.1").split()
        return tuple(int(part) for part in words[1].split("."))

    def _send(self, status, document):
        data = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Stay silent."""


class NovaOperator:
    """Makes and changes aggregates through the API of a Nova, played or real."""

    def __init__(self, url, token="any"):
        self._url = url
        self._headers = {"X-Auth-Token": token, "OpenStack-API-Version": "compute 2.81"}

    def create_aggregate(self, name, metadata=()):
        """Return its id."""
        made = self._send("POST", "/os-aggregates", {"aggregate": {"name": name}})["aggregate"]["id"]
        if metadata:
            self.act(made, "set_metadata", metadata=dict(metadata))
        return made

    def rename_aggregate(self, aggregate_id, name):
        self._send("PUT", f"/os-aggregates/{aggregate_id}", {"aggregate": {"name": name}})

    def act(self, aggregate_id, action, **fields):
        """Do `set_metadata`, `add_host` or `remove_host`."""
        self._send("POST", f"/os-aggregates/{aggregate_id}/action", {action: fields})

    def change_service(self, host, **fields):
        """Set `forced_down`, or `status`, of a host's nova-compute."""
        services = self._send("GET", "/os-services?binary=nova-compute")["services"]
        service = next(each for each in services if each["host"] == host)
        self._send("PUT", f"/os-services/{service['id']}", fields)

    def _send(self, method, path, body=None):
        answer = requests.request(method, self._url + path, json=body, headers=self._headers, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None
