"""An image service that a test controls: its images can be wrong, slow or unavailable.

Records follow Glance's v2 API. Each image has its own answers, so tests that share one service do not meet.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOLD_TIMEOUT_S = 60
"""No answer keeps its thread for longer, whatever becomes of the test."""


@dataclass
class PlayedImage:
    """One image. data_answers, record_answers: one for each request, the last one for all later.

    ranges: the Range header of each data request so far. sent_bytes: of data, over all of them.
    """

    id: str
    data: Sequence[bytes]
    record: dict[str, Any]
    data_answers: list[Answer]
    record_answers: list[Answer]
    ranges: list[str | None] = field(default_factory=list)
    record_requests: int = 0
    sent_bytes: int = 0
    asked: threading.Event = field(default_factory=threading.Event)


class PlayedGlance:
    """Listens on loopback from `with` to its end; `url` is the endpoint."""

    def __init__(self) -> None:
        self.images: dict[str, PlayedImage] = {}
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> PlayedGlance:
        self._open()
        return self

    def __exit__(self, *error: object) -> None:
        self.go_down()

    def add(
        self,
        data: bytes | Sequence[bytes],
        *data_answers: Answer,
        disk_format: str = "raw",
        record_answers: Sequence[Answer] = (),
        **record: Any,
    ) -> PlayedImage:
        """Offer an image; without answers it is a good one. data: in one piece, or in many for a large one.

        record: fields that differ from those of an active image with this data.
        """
        pieces = [data] if isinstance(data, bytes) else data
        image = PlayedImage(
            str(uuid.uuid4()), pieces, {}, list(data_answers) or [Reply.whole], list(record_answers) or [Reply.show]
        )
        image.record = _record(image.id, pieces, disk_format) | record
        self.images[image.id] = image
        return image

    def go_down(self) -> None:
        """Refuse every further connection."""
        with suppress(AttributeError):
            self._server.shutdown()
            self._server.server_close()
            del self._server

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be down meanwhile, and afterwards be back at the same address."""
        self.go_down()
        try:
            yield
        finally:
            self._open()

    def _open(self) -> None:
        self.go_down()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _Handler)
        self._server.played = self  # type: ignore[attr-defined]
        self._port = self._server.server_port
        poll_s = 0.02  # how often it looks whether it should stop
        threading.Thread(target=self._server.serve_forever, args=(poll_s,), daemon=True).start()


def _record(image_id: str, pieces: Sequence[bytes], disk_format: str) -> dict[str, Any]:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return {
        "id": image_id,
        "name": f"image-{image_id[:8]}",
        "status": "active",
        "visibility": "public",
        "disk_format": disk_format,
        "container_format": "bare",
        "size": sum(map(len, pieces)),
        "os_hash_algo": "sha256",
        "os_hash_value": digest.hexdigest(),
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True  # so that being down is seen at once
        played: PlayedGlance = self.server.played  # type: ignore[attr-defined]
        words = self.path.strip("/").split("/")
        image = played.images.get(words[2]) if words[:2] == ["v2", "images"] and len(words) in (3, 4) else None
        # The client may disconnect at any moment, as many tests intend.
        with suppress(OSError):
            reply = Reply(self, played, image)
            if image is None:
                reply.head(404)
            elif len(words) == 3:
                image.record_requests += 1
                _next(image.record_answers)(reply)
            else:
                image.ranges.append(self.headers.get("Range"))
                image.asked.set()
                _next(image.data_answers)(reply)

    def log_message(self, *args: object) -> None:
        """Stay silent."""


def _next(answers: list[Answer]) -> Answer:
    return answers.pop(0) if len(answers) > 1 else answers[0]


class Reply:
    """What an answer is given to work with: the request's start of range, the image, and the connection."""

    def __init__(self, handler: _Handler, played: PlayedGlance, image: PlayedImage | None) -> None:
        self._handler, self.played = handler, played
        self.image: PlayedImage = image  # type: ignore[assignment]  # an answer always has one
        text = handler.headers.get("Range")
        self.offset = int(text.removeprefix("bytes=").removesuffix("-")) if text else 0

    @property
    def data(self) -> bytes:
        return b"".join(self.image.data)

    def head(self, status: int, length: int | None = 0, **headers: str) -> None:
        """Send the status line and the headers; `length` None leaves out how much will follow."""
        if length is not None:
            headers["Content_Length"] = str(length)
        self._handler.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()

    def data_head(self, size: int) -> None:
        """Send the head of a good answer, for data of this size in all."""
        if not self.offset:
            self.head(200, size)
        elif self.offset < size:
            self.head(206, size - self.offset, Content_Range=f"bytes {self.offset}-{size - 1}/{size}")
        else:
            self.head(416)

    def write(self, data: bytes) -> None:
        """Send bytes of the image."""
        self.say(data)
        self.image.sent_bytes += len(data)

    def say(self, text: bytes) -> None:
        self._handler.wfile.write(text)

    def show(self) -> None:
        """Answer well to a request for the record."""
        body = json.dumps(self.image.record).encode()
        self.head(200, len(body), Content_Type="application/json")
        self.say(body)

    def whole(self) -> None:
        """Answer well to a request for the data."""
        self.data_head(sum(map(len, self.image.data)))
        position = 0
        for piece in self.image.data:
            self.write(piece[max(self.offset - position, 0) :])
            position += len(piece)

    def hold(self) -> None:
        """Say nothing until the other side goes away."""
        self._handler.connection.settimeout(HOLD_TIMEOUT_S)
        self._handler.connection.recv(1)

    def hang_up(self) -> None:
        self._handler.connection.shutdown(socket.SHUT_RDWR)


Answer = Callable[[Reply], None]
