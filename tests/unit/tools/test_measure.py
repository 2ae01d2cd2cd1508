"""What `make measure` counts in a source tree, and that it still gets a request through the embedded service."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import pytest

from precache.core.jobs import Job, Task
from tools.measure.request import measure_request
from tools.measure.source import JOB_FIELDS, TASK_FIELDS, Sources

SOURCE = '''"""Give a module a docstring."""
import threading

TABLE = Table("tasks", Column("state"), Column("outcome"), Column("phase"))


class Task:
    """One image on one host."""

    job_id: str
    host: str
    image: str

    def starts(self):
        """Say whether it does."""
        self.state = self.phase = self.outcome = None
        return threading.Thread(target=self.starts)
'''


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "background").mkdir()
    (tmp_path / "background/pool.py").write_text("Thread(target=print).start()\n")
    (tmp_path / "one.py").write_text(SOURCE)
    return Sources(tmp_path)


def test_docstrings_are_no_statements(sources: Sources) -> None:
    # The import, the table, the class with three fields, the method with two statements; one line in the other file.
    assert sources.statements() == 10


def test_a_docstring_that_opens_with_a_flourish_is_found(sources: Sources) -> None:
    assert sources.docstrings_opening_with(("Give", "Say")) == ["one.py:1", "one.py:15"]


def test_threads_are_counted_outside_the_package_made_for_them(sources: Sources) -> None:
    assert sources.thread_sites() == ["one.py:17"]


def test_a_place_is_a_function_the_rest_of_a_class_or_a_statement(sources: Sources) -> None:
    places = sources.places_naming(TASK_FIELDS, at_least=3)

    assert [str(place) for place in places] == ["one.py:4 (module)", "one.py:7 Task", "one.py:14 Task.starts"]


@pytest.mark.long
def test_the_request_is_recorded_from_the_api_to_the_cache() -> None:
    cost = measure_request(Path("src").absolute(), Path(sys.executable), rounds=1)

    assert {"api/dispatch.py", "conductor/run_job.py", "imagecache/publish.py"} <= cost.files
    assert any(transaction.startswith("adapters/jobs_sql/") for transaction in cost.transactions)


@pytest.mark.parametrize(("record", "names"), [(Job, JOB_FIELDS), (Task, TASK_FIELDS)])
def test_it_knows_all_fields_of_the_records(record, names):
    # A job also has `id`, which is too common a name, and `images`, which is no field but is read as one.
    assert {field.name for field in fields(record)} - {"id"} == names - {"images"}
