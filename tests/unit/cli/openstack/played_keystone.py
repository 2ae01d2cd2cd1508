"""As much of a Keystone as a login needs: password, token and application credential, one catalogue."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PASSWORD = "s3cret"


class PlayedKeystone:
    """Listens on loopback while it is entered.

    catalogue: service type -> address, for region RegionOne and interface public. issued: tokens given out, in order.
    A login without a project gets a token that has neither one nor a catalogue, as with the real one.
    methods: how each of them was asked for. tokens: those that were exchanged.
    """

    def __init__(self, catalogue: dict[str, str]) -> None:
        self.catalogue = catalogue
        self.issued: list[str] = []
        self.methods: list[str] = []
        self.tokens: list[str] = []
        keystone = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, {"version": _version(keystone.url)})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                identity = body["auth"]["identity"]
                method = identity["methods"][0]
                if method == "password" and identity["password"]["user"]["password"] != PASSWORD:
                    error = {"code": 401, "message": "The request you have made requires authentication."}
                    self._answer(401, {"error": error})
                    return
                keystone.methods.append(method)
                if method == "token":
                    keystone.tokens.append(identity["token"]["id"])
                keystone.issued.append(f"token-{len(keystone.issued) + 1}")
                token = keystone._token(method)
                if "scope" not in body["auth"] and method != "application_credential":
                    del token["project"], token["roles"], token["catalog"]
                self._answer(201, {"token": token}, keystone.issued[-1])

            def _answer(self, status: int, document: dict[str, Any], token: str | None = None) -> None:
                payload = json.dumps(document).encode()
                self.send_response(status)
                if token:
                    self.send_header("X-Subject-Token", token)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: object) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v3"

    def _token(self, method: str) -> dict[str, Any]:
        domain = {"id": "default", "name": "Default"}
        return {
            "methods": [method],
            "user": {"id": "u1", "name": "admin", "domain": domain},
            "project": {"id": "p1", "name": "admin", "domain": domain},
            "roles": [{"id": "r1", "name": "admin"}],
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2126-01-01T00:00:00.000000Z",
            "catalog": [
                {
                    "id": kind,
                    "type": kind,
                    "name": kind,
                    "endpoints": [{"id": kind, "interface": "public", "region_id": "RegionOne", "url": url}],
                }
                for kind, url in self.catalogue.items()
            ],
        }

    def __enter__(self) -> PlayedKeystone:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _version(url: str) -> dict[str, Any]:
    return {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": url}], "media-types": []}
