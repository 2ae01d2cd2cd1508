"""A Keystone of a few lines, on loopback, that knows the tokens which a test gives it; for tests of its middleware."""

import json
import threading
from datetime import UTC, datetime, timedelta
from wsgiref.simple_server import WSGIRequestHandler, make_server

PASSWORD = "hunter2"
SERVICES_OWN = "the-services-own-token"


def token(*, roles=(), expires_in=timedelta(hours=1), **scope):
    """Return what Keystone says of a token. scope: project, domain or system, as in its API."""
    expires = datetime.now(UTC) + expires_in
    return {
        "methods": ["password"],
        "user": {"id": "a1", "name": "alice", "domain": {"id": "default", "name": "Default"}},
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "audit_ids": ["x"],
        "roles": [{"id": role, "name": role} for role in roles],
        **scope,
    }


PROJECT = {"id": "p1", "name": "cloud", "domain": {"id": "default", "name": "Default"}}


class StubKeystone:
    """tokens: by their text. answer: given to every question for a token instead, as (status, body)."""

    def __init__(self):
        self.tokens = {}
        self.answer = None
        self.asked = []
        self._server = make_server("127.0.0.1", 0, self._answer, handler_class=_Silent)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _answer(self, environ, start_response):
        status, headers, body = self._respond(environ)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        length = ("Content-Length", str(len(data)))
        start_response(f"{status} X", [("Content-Type", "application/json"), length, *headers.items()])
        return [data]

    def _respond(self, environ):
        if not environ["PATH_INFO"].endswith("/auth/tokens"):
            link = {"rel": "self", "href": f"{self.url}/v3"}
            return 200, {}, {"version": {"id": "v3.14", "status": "stable", "links": [link]}}
        if environ["REQUEST_METHOD"] == "POST":
            return self._log_in(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        asked = environ["HTTP_X_SUBJECT_TOKEN"]
        self.asked.append(asked)
        if self.answer is not None:
            return self.answer[0], {}, self.answer[1]
        if asked not in self.tokens:
            return 404, {}, {"error": {"code": 404, "title": "Not Found", "message": f"Could not find token: {asked}."}}
        return 200, {"X-Subject-Token": asked}, {"token": self.tokens[asked]}

    def _log_in(self, body):
        if body["auth"]["identity"]["password"]["user"]["password"] != PASSWORD:
            return 401, {}, {"error": {"code": 401, "title": "Unauthorized", "message": "Wrong."}}
        endpoint = {"id": "e", "interface": "internal", "region": "R", "region_id": "R", "url": f"{self.url}/v3"}
        catalog = [{"id": "k", "type": "identity", "name": "keystone", "endpoints": [endpoint]}]
        return 201, {"X-Subject-Token": SERVICES_OWN}, {"token": token(project=PROJECT) | {"catalog": catalog}}


class _Silent(WSGIRequestHandler):
    def log_message(self, *_):
        pass
