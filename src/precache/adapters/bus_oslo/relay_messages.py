"""Makes and reads the messages of relays: what a host asks and reports, and what it is to do.

All numbers, texts and lists that a peer can send have a limit here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from precache.adapters.bus_oslo.fields import (
    Malformed,
    check_host,
    instant_text,
    read_count,
    read_image,
    read_instant,
    read_items,
    read_name,
    read_size,
    read_text,
)
from precache.adapters.bus_oslo.messages import read_reason, seconds
from precache.core.names import is_name
from precache.core.relays import Assignment, Form, JoinRequest, Peer, RelayReport, ReportKind, Source
from precache.core.swarm_certificates import HostCertificate

MOST_HOSTS = 64
"""The most spares of an assignment, or lost hosts of a report."""

_MOST_SIGNERS = 64
_MOST_VERSION = 2**31 - 1
_MOST_BYTES_PER_S = 2**40
_LONGEST_STATEMENT = 8_192  # characters of a ticket, or of a signed root
_LONGEST_PEM = 65_536
_LONGEST_ADDRESS = 300
_MOST_INTERVAL_S = 3_600.0

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+):[0-9]{1,5}")
_KEY = re.compile(r"[0-9a-f]{64}")
_ROOT = re.compile(r"tree-sha256:[0-9a-f]{64}")

_Word = TypeVar("_Word", Form, ReportKind, Source)


def join_message(request: JoinRequest) -> dict[str, Any]:
    return {
        "host": request.host,
        "job_id": request.job_id,
        "image": request.image,
        "form": request.form.value,
        "address": request.address,
        "key": request.key,
        "have_bytes": request.have_bytes,
    }


def read_join(message: Mapping[str, Any], cell: str) -> JoinRequest:
    """Return the request of a host of this cell. Raises Malformed."""
    return JoinRequest(
        host=read_name(message, "host"),
        cell=cell,
        job_id=read_name(message, "job_id"),
        image=read_image(message.get("image")),
        form=_word(message, "form", Form),
        address=read_address(message, "address"),
        key=_matching(message, "key", _KEY),
        have_bytes=read_size(message, "have_bytes"),
    )


def relay_report_message(report: RelayReport) -> dict[str, Any]:
    """Return the message. What has its default is left out: a report is sent every few seconds."""
    fields = {
        "have_bytes": report.have_bytes,
        "offered_bytes": report.offered_bytes,
        "rate_bytes_per_s": report.rate_bytes_per_s,
        "size_bytes": report.size_bytes,
        "parent": report.parent,
        "lost": list(report.lost[:MOST_HOSTS]),
        "root": report.root,
        "reason": report.reason,
        "is_image_faulty": report.is_image_faulty,
    }
    return {
        "relay": report.relay,
        "host": report.host,
        "kind": report.kind.value,
        "version": report.version,
        **{name: value for name, value in fields.items() if value},
    }


def read_relay_report(message: Mapping[str, Any], cell: str) -> RelayReport:
    """Return the report of a host of this cell. Raises Malformed."""
    return RelayReport(
        relay=read_name(message, "relay"),
        host=read_name(message, "host"),
        kind=_word(message, "kind", ReportKind),
        version=read_count(message, "version", _MOST_VERSION),
        have_bytes=read_size(message, "have_bytes"),
        offered_bytes=read_size(message, "offered_bytes"),
        rate_bytes_per_s=read_count(message, "rate_bytes_per_s", _MOST_BYTES_PER_S),
        size_bytes=read_size(message, "size_bytes"),
        parent=read_name(message, "parent") if message.get("parent") else "",
        lost=_names(message, "lost"),
        root=_matching(message, "root", _ROOT),
        reason=read_reason(message),
        is_image_faulty=message.get("is_image_faulty") is True,
        cell=cell,
    )


def assignment_message(assignment: Assignment) -> dict[str, Any]:
    return {
        "relay": assignment.relay,
        "host": assignment.host,
        "version": assignment.version,
        "source": assignment.source.value,
        "parent": None if assignment.parent is None else peer_message(assignment.parent),
        "spares": [peer_message(peer) for peer in assignment.spares[:MOST_HOSTS]],
        "signers": list(assignment.signers[:_MOST_SIGNERS]),
        "ticket": assignment.ticket,
        "root": assignment.root,
        "report_interval_s": assignment.report_interval_s,
        "retry_after_s": assignment.retry_after_s,
        "failed": assignment.failed,
    }


def read_assignment(message: Mapping[str, Any], host: str) -> Assignment:
    """Return the assignment. Raises Malformed, also if it is meant for another host."""
    check_host(message, host)
    source = _word(message, "source", Source)
    parent = None if message.get("parent") is None else read_peer(message["parent"])
    if source is Source.HOST and parent is None:
        raise Malformed("parent is missing")
    return Assignment(
        relay=read_name(message, "relay"),
        host=host,
        version=read_count(message, "version", _MOST_VERSION),
        source=source,
        parent=parent,
        spares=tuple(read_peer(item) for item in read_items(message, "spares", MOST_HOSTS)),
        signers=tuple(_key(item) for item in read_items(message, "signers", _MOST_SIGNERS)),
        ticket=_short_text(message, "ticket", _LONGEST_STATEMENT),
        root=_short_text(message, "root", _LONGEST_STATEMENT),
        report_interval_s=_interval(message, "report_interval_s"),
        retry_after_s=_interval(message, "retry_after_s"),
        failed=read_reason({"reason": message.get("failed")}),
    )


def certify_message(host: str, signing_request: str) -> dict[str, Any]:
    return {"host": host, "signing_request": signing_request}


def read_certify(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the host, and its signing request in PEM. Raises Malformed."""
    return read_name(message, "host"), _short_text(message, "signing_request", _LONGEST_PEM)


def certificate_message(certificate: HostCertificate) -> dict[str, Any]:
    return {
        "certificate": certificate.certificate,
        "authority": certificate.authority,
        "ends_at": instant_text(certificate.ends_at),
    }


def read_certificate(answer: Mapping[str, Any]) -> HostCertificate:
    """Return the certificate. Raises Malformed."""
    ends_at = read_instant(answer.get("ends_at"))
    if ends_at is None:
        raise Malformed("ends_at is not an instant")
    return HostCertificate(
        _short_text(answer, "certificate", _LONGEST_PEM), _short_text(answer, "authority", _LONGEST_PEM), ends_at
    )


def peer_message(peer: Peer) -> dict[str, str]:
    return {"host": peer.host, "address": peer.address}


def read_peer(item: object) -> Peer:
    """Return a host with its address. Raises Malformed."""
    if not isinstance(item, Mapping):
        raise Malformed("a peer is not an object")
    address = read_address(item, "address")
    if not address:
        raise Malformed("a peer has no address")
    return Peer(read_name(item, "host"), address)


def read_address(message: Mapping[str, Any], field: str) -> str:
    """Return an address with its port; empty if there is none. Raises Malformed."""
    return _matching(message, field, _ADDRESS, _LONGEST_ADDRESS)


def _key(item: object) -> str:
    if not isinstance(item, str) or not _KEY.fullmatch(item):
        raise Malformed("signers has what is not a key")
    return item


def _names(message: Mapping[str, Any], field: str) -> tuple[str, ...]:
    names = read_items(message, field, MOST_HOSTS) if field in message else []
    if not all(isinstance(name, str) and is_name(name) for name in names):
        raise Malformed(f"{field} has what is not a name")
    return tuple(map(str, names))


def _word(message: Mapping[str, Any], field: str, words: type[_Word]) -> _Word:
    try:
        return words(read_text(message, field))
    except ValueError:
        raise Malformed(f"{field} is not known") from None


def _matching(message: Mapping[str, Any], field: str, form: re.Pattern[str], most: int = 255) -> str:
    """Return a text of this form; empty if it is empty or left out. Raises Malformed."""
    value = message.get(field, "")
    if not isinstance(value, str) or len(value) > most or (value and not form.fullmatch(value)):
        raise Malformed(f"{field} has not its form")
    return value


def _short_text(message: Mapping[str, Any], field: str, most: int) -> str:
    value = read_text(message, field)
    if len(value) > most:
        raise Malformed(f"{field} has more than {most} characters")
    return value


def _interval(message: Mapping[str, Any], field: str) -> float:
    value = seconds(message.get(field))
    if value is None or not 0 < value <= _MOST_INTERVAL_S:
        raise Malformed(f"{field} is not a number of seconds")
    return value
