"""Which records a listing gives, in which order, page by page."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.imageserver.list_query import BadQuery, select


def record(number, **fields):
    return {
        "id": f"id-{number}",
        "name": f"image {number}",
        "status": "active",
        "visibility": "public",
        "os_hidden": False,
        "protected": False,
        "disk_format": "qcow2",
        "container_format": "bare",
        "size": number,
        "owner": None,
        "tags": [],
        "created_at": f"2026-01-01T00:00:{number:02}Z",
        "updated_at": f"2026-01-01T00:00:{number:02}Z",
        **fields,
    }


RECORDS = [
    record(1),
    record(2, name="same", disk_format="raw", tags=["new"]),
    record(3, name="same", status="queued", size=None),
    record(4, os_hidden=True),
    record(5, visibility="private", owner="me"),
]


def chosen(**query):
    return sorted(int(one["id"][3:]) for one in select(RECORDS, query).records)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 5]),
        ({"id": "in:id-2,id-4,id-9"}, [2]),
        ({"id": "in:id-2,id-4", "os_hidden": "True"}, [4]),
        ({"id": "id-1"}, [1]),
        ({"name": "eq:same"}, [2, 3]),
        ({"name": "same"}, [2, 3]),
        ({"name": 'in:"image 1",same'}, [1, 2, 3]),
        ({"name": "same", "status": "active"}, [2]),
        ({"names": "in:same"}, []),
        ({"colour": "green"}, []),
        ({"disk_format": "in:raw,iso"}, [2]),
        ({"visibility": "private"}, [5]),
        ({"visibility": "all"}, [1, 2, 3, 5]),
        ({"owner": "me"}, [5]),
        ({"owner": "None"}, []),
        ({"protected": "false"}, [1, 2, 3, 5]),
        ({"tag": "new"}, [2]),
        ({"size_min": "2"}, [2, 5]),
        ({"size_max": "2"}, [1, 2]),
        ({"created_at": "gte:2026-01-01T00:00:03Z"}, [3, 5]),
        ({"updated_at": "2026-01-01T00:00:03Z"}, [3]),
        ({"member_status": "accepted"}, [1, 2, 3, 5]),
        ({"limit": "0"}, []),
    ],
    ids=str,
)
def test_a_filter_leaves_what_matches(query, expected):
    assert chosen(**query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["id-5", "id-3", "id-2", "id-1"]),
        ({"sort_key": "name", "sort_dir": "asc"}, ["id-1", "id-5", "id-2", "id-3"]),
        ({"sort": "name:desc,created_at:asc"}, ["id-2", "id-3", "id-5", "id-1"]),
        ({"sort_key": "size", "sort_dir": "asc"}, ["id-3", "id-1", "id-2", "id-5"]),
    ],
    ids=str,
)
def test_records_come_in_the_order_asked_for_newest_first_by_default(query, expected):
    assert [one["id"] for one in select(RECORDS, query).records] == expected


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "-1"},
        {"limit": "many"},
        {"limit": "²"},
        {"marker": "id-9"},
        {"sort_key": "tags"},
        {"sort_dir": "up"},
        {"sort": "name:sideways"},
        {"sort": ""},
        {"os_hidden": "perhaps"},
        {"size_min": "1GB"},
    ],
    ids=str,
)
def test_a_query_that_makes_no_sense_is_refused(query):
    with pytest.raises(BadQuery):
        select(RECORDS, query)


@given(
    st.integers(0, 40),
    st.integers(1, 12),
    st.sampled_from([{}, {"sort": "name:asc"}, {"sort_key": "size", "sort_dir": "asc"}, {"disk_format": "qcow2"}]),
)
def test_following_the_pages_gives_every_record_once_and_in_order(count, limit, query):
    records = [record(number, name=f"name {number % 3}") for number in range(count)]
    whole = select(records, {**query, "limit": "1000"})

    pages, following = [], {**query, "limit": str(limit)}
    while following:
        page = select(records, following)
        pages.append(page.records)
        following = dict(parse_qsl(page.next_query)) if page.next_query else None

    assert [one for page in pages for one in page] == list(whole.records)
    assert whole.next_query is None
    assert all(len(page) == limit for page in pages[:-1])
