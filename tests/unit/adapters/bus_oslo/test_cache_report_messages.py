"""The field `cache_report` of a heartbeat: read as it was sent, and harmless if it was not sent by us."""

import json
import logging
import zlib
from base64 import b64decode, b64encode
from dataclasses import replace

import pytest

from precache.adapters.bus_oslo.cache_report_messages import MOST_BYTES, MOST_PACKED_BYTES, read_report, report_message
from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.messages import read_heartbeats
from precache.core.cache_entries import Alarm, AlarmKind, EntryState, Removal, Verification
from tests.contract.cache_values import NOW, PIN, change, entry, entry_of, full, image

REPORT = change(
    entry(1, pins=(PIN,), disks=0, format="raw", digest="tree-sha256:" + "a" * 64, verified_at=NOW),
    entry(2, state=EntryState.MISSING, verification=Verification.CORRUPT),
    entry(3, image=None, image_name="", last_used=None, verification=Verification.UNVERIFIABLE),
    base=7,
    sequence=9,
    gone=[4],
    cache_id="id",
    owner="precache",
    policy="lru",
    unlisted=5,
    removals=(Removal(entry_of(5), None, NOW, "unused", 9), Removal(f"{entry_of(5)}_10", None, NOW, "unused", 9)),
    alarms=(
        Alarm(AlarmKind.MISSING, entry_of(6), image(6), "it is gone", NOW),
        Alarm(AlarmKind.SILENT_SHARER, "cmp-9", None, "it was not seen for a day", NOW),
    ),
)


def sent(report=REPORT):
    """Return the message as the broker passes it on."""
    return json.loads(json.dumps({"beats": [], "cache_report": report_message(report)}))


def packed(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    field = report_message(full(1)) | {"content": b64encode(zlib.compress(text)).decode()}
    return {"beats": [], "cache_report": field}


def content_of(report):
    return json.loads(zlib.decompress(b64decode(report_message(report)["content"])))


def test_a_report_is_read_as_it_was_sent():
    received = read_report(sent(), "cell1")

    assert (received.host, received.cell, received.is_full) == ("cmp-1", "cell1", False)
    assert received.size_bytes < 2000
    assert received.unpack() == REPORT
    assert read_report(sent(full(unsupported="no cache", space=None)), "c").unpack().unsupported == "no cache"


def test_a_conductor_of_version_1_3_reads_a_message_with_a_report_as_one_without_heartbeats():
    message = sent()

    assert (message["beats"], set(message)) == ([], {"beats", "cache_report"})
    assert read_heartbeats(message, "cell1", NOW) == []


def test_a_heartbeat_of_an_older_compute_has_no_report():
    assert read_report({"beats": [{"host": "cmp-1"}]}, "cell1") is None


def test_a_report_of_two_thousand_entries_fits_and_is_small():
    entries = [
        entry(number, digest=f"tree-sha256:{number:064x}", source_digest=f"sha512:{number:0128x}")
        for number in range(2000)
    ]

    message = sent(full(*entries))

    assert len(read_report(message, "cell1").unpack().entries) == 2000
    assert len(message["cache_report"]["content"]) < MOST_PACKED_BYTES / 4


def test_entries_that_do_not_fit_are_left_out_and_counted():
    pins = tuple(replace(PIN, by=f"job:{number:0200}") for number in range(100))
    entries = [entry(number, pins=pins) for number in range(500)]

    report = read_report(sent(full(*entries, unlisted=2)), "cell1").unpack()

    assert 100 < len(report.entries) < 500
    assert report.unlisted == 500 - len(report.entries) + 2


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("text", "not an object"),
        ({}, "content is not text"),
        ({"content": "no base64!"}, "not base64"),
        ({"content": "A" * (MOST_PACKED_BYTES + 1)}, "more than"),
        (report_message(REPORT) | {"host": "no name"}, "host"),
        (report_message(REPORT) | {"sequence": -1}, "sequence"),
        (report_message(REPORT) | {"base": 10}, "base"),
        (report_message(REPORT) | {"boot_id": None}, "boot_id"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_field_that_is_not_valid_is_refused(field, words):
    with pytest.raises(Malformed, match=words):
        read_report({"beats": [], "cache_report": field}, "cell1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no json", "not compressed JSON"),
        (b"[]", "not an object"),
        (b"[" * 100_000, "not compressed JSON"),
        (b" " * (MOST_BYTES + 1), "not whole, or has more than"),
        (b"1" * 100_000, "not compressed JSON"),
        (content_of(REPORT) | {"entries": [{}] * 5001}, "entries is not a list of at most"),
        (content_of(REPORT) | {"gone": ["../x"]}, "entry is not the name"),
        (content_of(REPORT) | {"space": {"free_bytes": "1"}}, "free_bytes"),
        (content_of(REPORT) | {"space": 1}, "space"),
        (content_of(REPORT) | {"at": "yesterday"}, "at is not a time"),
        (content_of(REPORT) | {"owner": 1}, "owner is not text"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_content_that_is_not_valid_is_dropped_with_one_line_in_the_log(caplog, content, words):
    received = read_report(packed(content), "cell1")

    with caplog.at_level(logging.WARNING):
        assert received.unpack() is None

    (line,) = caplog.messages
    assert "host cmp-1 in cell cell1" in line
    assert words in line


def test_a_truncated_content_is_dropped():
    field = report_message(REPORT)
    whole = b64decode(field["content"])
    message = {"cache_report": field | {"content": b64encode(whole[:-9]).decode()}}

    assert read_report(message, "cell1").unpack() is None


def test_an_entry_that_is_not_valid_is_left_out_and_the_others_are_read(caplog):
    content = content_of(REPORT)
    faults = ({"entry": "x"}, {"verification": "guessed"}, {"disks": -1}, {"pins": 3}, {"allocated_bytes": 2**47})
    for number, change_of in enumerate(faults):
        content["entries"].append(content["entries"][0] | {"entry": entry_of(20 + number)} | change_of)
    content["alarms"].append({"kind": "of the future"})
    content["entries"][0]["a field of the future"] = {"any": "thing"}

    report = read_report(packed(content), "cell1").unpack()

    assert (report.entries, report.alarms) == (REPORT.entries, REPORT.alarms)
    assert [line.split(", ")[-1] for line in caplog.messages] == [
        "5 of the kind entry were left out; the first: entry is not the name of an entry",
        "1 of the kind alarm were left out; the first: kind is not known",
    ]


def test_an_image_that_does_not_belong_to_the_entry_is_not_used():
    content = content_of(REPORT)
    content["entries"][0]["image"] = image(99)

    assert read_report(packed(content), "cell1").unpack().entries[0].image is None
