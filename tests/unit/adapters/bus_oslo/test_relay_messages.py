"""The messages of relays, as they go over the bus and come back, and those that make no sense."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.relay_messages import (
    assignment_message,
    certificate_message,
    certify_message,
    join_message,
    read_assignment,
    read_certificate,
    read_certify,
    read_join,
    read_relay_report,
    relay_report_message,
)
from precache.core.images import parse_image_id
from precache.core.relays import Assignment, Form, JoinRequest, Peer, RelayReport, ReportKind, Source
from precache.core.swarm_certificates import HostCertificate

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
KEY, ROOT = "0a" * 32, "tree-sha256:" + "1b" * 32
JOIN = JoinRequest(
    host="cmp-1", cell="cell1", job_id="job", image=IMAGE, form=Form.RAW, address="192.0.2.7:8785", key=KEY
)
REPORT = RelayReport(relay="relay-1", host="cmp-1", kind=ReportKind.PROGRESS, cell="cell1")
ASSIGNMENT = Assignment(relay="relay-1", host="cmp-1", version=3, source=Source.WAIT)


def over_the_bus(message):
    return json.loads(json.dumps(message)) | {"of_a_newer_release": 1}


@pytest.mark.parametrize(
    "changes", [{}, {"address": "", "key": ""}, {"address": "[2001:db8::7]:8785", "form": Form.AS_IS, "have_bytes": 7}]
)
def test_a_join_is_read_as_it_was_written(changes):
    join = replace(JOIN, **changes)

    assert read_join(over_the_bus(join_message(join)), "cell1") == join


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kind": ReportKind.SLOW, "version": 7, "have_bytes": 1, "offered_bytes": 2**40, "rate_bytes_per_s": 3},
        {"kind": ReportKind.LOST_PARENT, "parent": "cmp-2", "lost": ("cmp-2", "cmp-3"), "reason": "it refuses"},
        {"kind": ReportKind.COMPLETE, "root": ROOT, "size_bytes": 9},
    ],
)
def test_a_report_is_read_as_it_was_written(changes):
    report = replace(REPORT, **changes)

    assert read_relay_report(over_the_bus(relay_report_message(report)), "cell1") == report


@pytest.mark.parametrize(
    "changes",
    [
        {"report_interval_s": 2.5, "retry_after_s": 0.25, "failed": "two seeders do not agree"},
        {
            "source": Source.HOST,
            "parent": Peer("cmp-2", "192.0.2.8:8785"),
            "spares": (Peer("cmp-3", "cmp-3.example.org:8786"),),
            "signers": (KEY,),
            "ticket": "ticket",
            "root": "statement",
        },
    ],
)
def test_an_assignment_is_read_as_it_was_written(changes):
    assignment = replace(ASSIGNMENT, **changes)

    assert read_assignment(over_the_bus(assignment_message(assignment)), "cmp-1") == assignment


def test_a_certificate_is_read_as_it_was_written():
    certificate = HostCertificate("own", "authority", datetime(2026, 1, 2, tzinfo=UTC))

    assert read_certificate(over_the_bus(certificate_message(certificate))) == certificate
    assert read_certify(over_the_bus(certify_message("cmp-1", "request"))) == ("cmp-1", "request")


@pytest.mark.parametrize(
    "change",
    [
        {"host": "../etc"},
        {"image": "x"},
        {"form": "vhd"},
        {"address": "192.0.2.7"},
        {"address": "192.0.2.7:8785/x"},
        {"address": "x" * 300 + ":1"},
        {"key": "xyz"},
        {"have_bytes": -1},
    ],
)
def test_a_join_that_makes_no_sense_is_refused(change):
    with pytest.raises(Malformed):
        read_join(join_message(JOIN) | change, "cell1")


@pytest.mark.parametrize(
    "change",
    [
        {"relay": 7},
        {"kind": "bored"},
        {"version": -1},
        {"rate_bytes_per_s": 2**60},
        {"rate_bytes_per_s": 1.5},
        {"size_bytes": 2**60},
        {"parent": "a b"},
        {"lost": ["cmp-2"] * 65},
        {"lost": [["cmp-2"]]},
        {"root": "md5:00"},
    ],
)
def test_a_report_that_makes_no_sense_is_refused(change):
    with pytest.raises(Malformed):
        read_relay_report(relay_report_message(REPORT) | change, "cell1")


@pytest.mark.parametrize(
    "change",
    [
        {"host": "cmp-2"},
        {"source": "host"},
        {"parent": {"host": "cmp-2", "address": ""}},
        {"spares": ["cmp-2"]},
        {"signers": ["x"]},
        {"ticket": "x" * 10_000},
        {"report_interval_s": 0},
        {"retry_after_s": "soon"},
    ],
)
def test_an_assignment_that_makes_no_sense_is_refused(change):
    with pytest.raises(Malformed):
        read_assignment(assignment_message(ASSIGNMENT) | change, "cmp-1")


@pytest.mark.parametrize("change", [{"certificate": None}, {"authority": "x" * 100_000}, {"ends_at": None}])
def test_a_certificate_that_makes_no_sense_is_refused(change):
    message = certificate_message(HostCertificate("own", "authority", datetime(2026, 1, 2, tzinfo=UTC)))

    with pytest.raises(Malformed):
        read_certificate(message | change)


def test_a_reason_of_a_host_is_one_line_of_limited_length():
    message = relay_report_message(replace(REPORT, kind=ReportKind.LEFT, reason="disk\nfull" + "!" * 5_000))

    reason = read_relay_report(message, "cell1").reason

    assert reason.startswith("disk full!")
    assert len(reason) == 1000
