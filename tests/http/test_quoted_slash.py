"""A slash in a path parameter, over a real socket: the server leaves `%2F` in the path."""

from __future__ import annotations

import http.client
import json
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from precache.api.identity import noauth
from precache.rules.listen_address import ListenAddress
from precache.wiring.http.server import HttpServer
from tests.http.world import World


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/jobs/a%2Fb", "Job a/b could not be found."),
        ("/v1/jobs/a%2fb/tasks", "Job a/b could not be found."),
        ("/v1/jobs/%20%2B", "Job  + could not be found."),
    ],
)
def test_a_name_in_a_message_is_the_one_that_was_sent(path, message):
    server = HttpServer(address=ListenAddress("127.0.0.1", 0), threads=1)
    url = server.bind()
    server.start({"/": noauth(World().app)})
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()

        assert (answer.status, json.loads(answer.read())["error"]["message"]) == (404, message)
    finally:
        connection.close()
        server.stop(timedelta(seconds=10))
