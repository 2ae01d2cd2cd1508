"""One line for each request."""

import json

from precache.imageserver.request_log import RequestLog, logged

ENVIRON = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/image", "PATH_INFO": "/v2/images", "QUERY_STRING": "limit=1"}


def app(environ, start_response):
    start_response("206 Partial Content", [])
    return [b"first", b"second"]


def call(log, *, take, **environ):
    body = logged(app, log)({**ENVIRON, **environ}, lambda status, headers: None)
    blocks = iter(body)
    for _ in range(take):
        next(blocks, None)
    body.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_what_was_asked_and_what_was_answered(tmp_path):
    path = tmp_path / "requests.log"

    call(RequestLog(path=path), take=3, REMOTE_ADDR="127.0.0.1", HTTP_RANGE="bytes=1-", HTTP_USER_AGENT="curl")

    (line,) = lines(path)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/image/v2/images",
        "query": "limit=1",
        "range": "bytes=1-",
        "agent": "curl",
        "status": 206,
        "bytes_sent": 11,
    }


def test_a_client_that_disconnected_got_only_what_was_written(tmp_path):
    path = tmp_path / "requests.log"

    call(RequestLog(path=path), take=2)

    assert [line["bytes_sent"] for line in lines(path)] == [5]


def test_a_client_cannot_write_lines_of_its_own_and_no_token_is_written(tmp_path):
    path = tmp_path / "requests.log"

    call(RequestLog(path=path), take=3, HTTP_USER_AGENT='x\n{"forged": 1}\r', HTTP_X_AUTH_TOKEN="secret")

    assert len(lines(path)) == 1
    assert "secret" not in path.read_text()


def test_a_full_log_becomes_the_older_one(tmp_path):
    path = tmp_path / "requests.log"
    log = RequestLog(path=path, rotate_at_bytes=1)

    call(log, take=3)
    call(log, take=3)

    assert not path.exists()
    assert len(lines(tmp_path / "requests.log.1")) == 1


def test_a_log_that_cannot_be_written_is_said_once(tmp_path, caplog):
    log = RequestLog(path=tmp_path / "missing" / "requests.log")

    call(log, take=3)
    call(log, take=3)

    assert caplog.text.count("cannot be written") == 1
