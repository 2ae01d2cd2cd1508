"""A WSGI application that passes every request on to another server, so that a test can stand in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import requests

BLOCK_BYTES = 64 * 1024
TIMEOUT_S = 60
_NOT_PASSED_BACK = {"connection", "transfer-encoding", "server", "date"}  # they are of one connection only


class Forwarding:
    """url: of the server, without a trailing slash. Bodies of answers come through in blocks, as they arrive."""

    def __init__(self, url: str = "") -> None:
        self.url = url

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        headers.pop("HOST", None)
        query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
        answer = requests.request(
            environ["REQUEST_METHOD"],
            f"{self.url}{environ['PATH_INFO']}{query}",
            headers=headers,
            stream=True,
            timeout=TIMEOUT_S,
        )
        passed = [(name, value) for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_BACK]
        start_response(f"{answer.status_code} {answer.reason}", passed)
        return _blocks(answer)


def _blocks(answer: requests.Response) -> Iterator[bytes]:
    while block := answer.raw.read(BLOCK_BYTES):
        yield block
