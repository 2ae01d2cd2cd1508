"""A client that follows a job, over a real connection."""

import http.client
import json
import socket
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

TIMEOUT_S = 30


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    data: dict
    id: str


class EventReader:
    """One open stream. status, headers: of the answer. receive_buffer: bytes; small for a slow reader."""

    def __init__(self, url, path, *, last_event_id=None, cafile=None, receive_buffer=None, headers=()):
        parts = urlsplit(url)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=cafile)
            self._connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT_S, context=context)
        else:
            self._connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        if receive_buffer is not None:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(TIMEOUT_S)
            sock.connect((parts.hostname, parts.port))
            self._connection.sock = sock
        sent = dict(headers) | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        self._connection.request("GET", path, headers=sent)
        self._answer = self._connection.getresponse()
        self.status, self.headers = self._answer.status, self._answer.headers

    def next(self):
        """Return the next event; None at the regular end. Comments and the time to reconnect are skipped."""
        fields = {}
        while line := self._answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                return Event(fields["event"], json.loads(fields["data"]), fields["id"])
            else:
                fields = {}
        return None

    def next_task(self):
        """Return the next event of a task."""
        return self.until("task")[-1]

    def until(self, name):
        """Return the events up to the next one of this name."""
        events = []
        while not events or events[-1].name != name:
            events.append(self.next())
        return events

    def read_error(self):
        return json.loads(self._answer.read())["error"]

    def read_all(self):
        """Read until the connection ends; return whether it ended regularly."""
        try:
            while self.next():
                pass
        except (http.client.HTTPException, OSError):
            return False
        return True

    def close(self):
        self._answer.close()
        self._connection.close()


@pytest.fixture
def readers():
    """Return a function that makes readers, which are closed at the end."""
    opened = []

    def follow(*args, **kwargs):
        opened.append(EventReader(*args, **kwargs))
        return opened[-1]

    yield follow
    for reader in opened:
        reader.close()
