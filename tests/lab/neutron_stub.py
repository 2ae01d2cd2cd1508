"""What Nova asks of Neutron for instances without a network, answered with nothing: no network, port or agent."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

QUOTAS = ("port", "network", "security_group", "security_group_rule", "floatingip")
DEFAULT_GROUP = {
    "id": "00000000-0000-0000-0000-00000000dead",
    "name": "default",
    "description": "",
    "security_group_rules": [],
}
"""Nova gives it to every instance, whether or not there is a port to guard."""


class NeutronStub:
    """Listens on a free port of loopback from `start` to `stop`."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.strip("/")
        if not path:
            self._answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": []}]})
        else:
            self._answer(200, self._resource(path.split("/")[1:]))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(409, _refusal("Conflict", "there are no networks here"))

    def do_DELETE(self) -> None:
        self._answer(404, _refusal("NotFound", self.path))

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _resource(self, words: list[str]) -> Mapping[str, object]:
        if not words:
            return {"resources": []}
        if words[0] == "quotas":
            return {"quota": dict.fromkeys(QUOTAS, -1)}
        noun = words[0].replace("-", "_")
        return {noun: [DEFAULT_GROUP] if noun == "security_groups" else []}

    def _answer(self, status: int, document: Mapping[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _refusal(kind: str, message: str) -> Mapping[str, object]:
    return {"NeutronError": {"type": kind, "message": message, "detail": ""}}
