"""HttpWebhooks against real servers: what is sent, and what a receiver cannot do to this process."""

import http.server
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.webhooks_http import HttpWebhooks
from precache.core.errors import WebhookFailed
from precache.core.job_notices import Delivery, JobEvent
from tests.lab.certificates import Authority
from tests.unit.adapters.faulty_server import HOLD, FaultyServer
from tests.unit.adapters.faulty_server import http as answer

KEY = b"0123456789abcdef"
SOON = timedelta(seconds=0.3)
PATIENT = timedelta(seconds=20)
BODY = '{"payload": "grüße"}'
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


class Receiver:
    """A server of the standard library that accepts everything and keeps it."""

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, self.headers, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook/team?token=x"


def delivery(url):
    return Delivery(1, "job-17", JobEvent.FAILED, url, BODY, 0, timedelta())


def webhooks(timeout=PATIENT, **options):
    return HttpWebhooks(key=KEY, clock=MemoryClock(), timeout=timeout, **options)


def failure(url, **options):
    with pytest.raises(WebhookFailed) as raised:
        webhooks(**options).post(delivery(url))
    return raised.value


def test_a_receiver_gets_the_body_with_its_event_id_and_signature():
    with Receiver() as receiver:
        webhooks().post(delivery(receiver.url))

    [(path, headers, body)] = receiver.received
    assert (path, body.decode()) == ("/hook/team?token=x", BODY)
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Precache-Event"] == "precache.job.failed"
    assert headers["X-Precache-Delivery"] == "job-17"
    assert headers["User-Agent"].startswith("precache/")


def test_the_example_in_the_documentation_verifies_what_is_sent():
    text = OPERATIONS.read_text()
    start = text.index("```python\nimport hashlib") + len("```python\n")
    example: dict = {}
    exec(text[start : text.index("```", start)], example)
    is_genuine = example["is_genuine"]
    now = MemoryClock().now().timestamp()
    with Receiver() as receiver:
        webhooks().post(delivery(receiver.url))
    [(_, headers, body)] = receiver.received
    header = headers["X-Precache-Signature"]

    assert is_genuine(KEY, header, body, now + 1)
    assert not is_genuine(KEY, header, body + b" ", now)
    assert not is_genuine(b"another key of 16", header, body, now)
    assert not is_genuine(KEY, header, body, now + 600)
    assert not is_genuine(KEY, header.replace("t=1", "t=2", 1), body, now)
    assert not is_genuine(KEY, "nonsense", body, now)


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "429 Too Many Requests", "503 Unavailable"])
def test_any_other_status_than_2xx_is_a_failure_of_a_receiver_that_answers(status):
    with FaultyServer(answer(status)) as server:
        place, error = server.url, failure(f"{server.url}/hook")

    assert (error.place, error.reason, error.has_answered) == (place, f"HTTP status {status[:3]}", True)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_is_not_followed(status):
    with Receiver() as elsewhere, FaultyServer(answer(status, Location=elsewhere.url)) as server:
        error = failure(f"{server.url}/hook")

    assert "redirects are not followed" in error.reason
    assert elsewhere.received == []


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    with Receiver() as receiver, FaultyServer(answer("200 OK")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        webhooks().post(delivery(receiver.url))

    assert len(receiver.received) == 1
    assert proxy.requests == []


def test_the_body_of_an_answer_is_not_read():
    endless = answer("200 OK", b"x" * 1000, Content_Length=str(10**12))
    with FaultyServer((endless, HOLD)) as server:
        webhooks().post(delivery(f"{server.url}/hook"))


def test_a_receiver_that_never_answers_fails_in_time():
    with FaultyServer((b"HTTP/1.1 200 OK\r\n", HOLD)) as server:
        error = failure(f"{server.url}/hook", timeout=SOON)

    assert (error.reason, error.has_answered) == ("it did not answer within 0.3 seconds", False)


def test_a_receiver_that_sends_one_byte_at_a_time_fails_in_time():
    class Dripping(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            try:
                for _ in range(100):
                    self.wfile.write(b"H")
                    time.sleep(0.05)
            except OSError:
                pass

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    began = time.monotonic()
    try:
        error = failure(f"http://127.0.0.1:{server.server_address[1]}/hook", timeout=SOON)
    finally:
        server.shutdown()
        server.socket.close()

    assert "did not answer within" in error.reason
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("broken", [b"", b"nonsense\r\n\r\n"])
def test_an_answer_that_is_no_http_is_a_failure(broken):
    with FaultyServer(broken) as server:
        assert not failure(f"{server.url}/hook").has_answered


def test_a_receiver_that_is_down_is_a_failure_with_the_reason():
    error = failure("http://127.0.0.1:1/hook/secret")

    assert "Connection refused" in error.reason
    assert "secret" not in str(error)
    assert not error.has_answered


def test_a_receiver_is_known_by_its_certificate(tmp_path):
    authority = Authority(tmp_path)
    with FaultyServer(answer("204 No Content"), context=authority.certificate("127.0.0.1").context()) as server:
        webhooks(cafile=authority.cafile).post(delivery(f"{server.url}/hook"))
        stranger = failure(f"{server.url}/hook")
    with FaultyServer(answer("204 No Content"), context=authority.certificate("other.example").context()) as server:
        misnamed = failure(f"{server.url}/hook", cafile=authority.cafile)

    assert "name the authority that signed it in [notifications] webhook_cafile" in stranger.reason
    assert "is not valid for 127.0.0.1" in misnamed.reason
    assert len(server.requests) == 0
