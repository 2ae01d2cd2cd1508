"""The API and its document, by requests that schemathesis makes from the document: what it says holds, both ways."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from precache.api.app import MAX_BODY_BYTES
from precache.api.events.feed import FeedLimits, JobFeed
from precache.api.handlers.views import JobViews
from precache.api.identity import noauth
from precache.api.schemas.document import load_document
from precache.rules.listen_address import ListenAddress
from precache.wiring.browser_guard import guard_browsers
from precache.wiring.http.server import HttpServer
from tests.http.cache_reports import report_caches
from tests.http.fixtures import WithJobs
from tests.http.test_document import METHODS
from tests.http.world import DOCUMENT, World

pytestmark = pytest.mark.system

HERE = Path(__file__).parent / "generated_requests"
SEED = 20261129
REQUESTS_PER_OPERATION = 12
SHORT_S = 0.1  # a stream of events ends, also of a job that does not
PATIENCE_S = 400  # on a quiet machine it takes less than a minute


@pytest.fixture
def url() -> Iterator[str]:
    """Return where the real application answers, as `serve all` puts it together, on stores in memory."""
    world = World(max_body_bytes=MAX_BODY_BYTES)
    WithJobs().build(world)
    report_caches(world)
    address = ListenAddress("127.0.0.1", 0)
    server = HttpServer(address=address, threads=4)
    url = server.bind()
    feed = JobFeed(store=world.jobs, views=JobViews(DOCUMENT), limits=FeedLimits(lifetime_s=SHORT_S))
    server.start({"/": guard_browsers(noauth(world.undocumented(auth_strategy="noauth", feed=feed)), address)})
    yield url
    server.stop(timedelta(seconds=5))
    feed.stop()


def test_every_answer_is_as_the_document_says_and_every_wrong_request_is_refused(url: str, tmp_path: Path) -> None:
    print(f"seed: {SEED}")

    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{url}/v1/openapi.json", "--seed", str(SEED), "--max-examples", str(REQUESTS_PER_OPERATION)),
            *("--workers", "1", "--no-color", "--generation-database", "none"),
        ],
        env={"PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "hooks", "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    tested = re.search(r"Tested: (\d+)", ran.stdout)
    operations = sum(key in METHODS for item in load_document()["paths"].values() for key in item)
    assert tested is not None, ran.stdout
    assert int(tested[1]) == operations - 1, ran.stdout  # all but the one that gives the document
