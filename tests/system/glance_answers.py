"""How a played image service can answer: rightly, and in every wrong way that tests know.

Answers for the record come first, then those for the data, last those for both.
"""

from __future__ import annotations

import threading
from typing import Any

from tests.system.played_glance import HOLD_TIMEOUT_S, Answer, Reply

show, whole = Reply.show, Reply.whole


# Answers for the record.


def show_and_go_down(reply: Reply) -> None:
    reply.played.go_down()
    reply.show()


def show_and_change(**record: Any) -> Answer:
    """Show the record as it was, and have it different from then on."""

    def answer(reply: Reply) -> None:
        reply.show()
        reply.image.record.update(record)

    return answer


# Answers for the data; those for both come last.


def cut_at(position: int) -> Answer:
    """Promise everything, send what comes before `position`, and hang up."""

    def answer(reply: Reply) -> None:
        reply.data_head(len(reply.data))
        reply.write(reply.data[reply.offset : position])

    return answer


def stalled_at(position: int) -> Answer:
    def answer(reply: Reply) -> None:
        cut_at(position)(reply)
        reply.hold()

    return answer


def only(size: int) -> Answer:
    """Have no more than `size` bytes, and say so."""

    def answer(reply: Reply) -> None:
        reply.data_head(size)
        reply.write(reply.data[reply.offset : size])

    return answer


def with_surplus(surplus: bytes) -> Answer:
    def answer(reply: Reply) -> None:
        data = reply.data + surplus
        reply.data_head(len(data))
        reply.write(data[reply.offset :])

    return answer


def with_flipped_bit(reply: Reply) -> None:
    data = bytearray(reply.data)
    data[len(data) // 2] ^= 1
    reply.data_head(len(data))
    reply.write(bytes(data[reply.offset :]))


def from_the_start(reply: Reply) -> None:
    """Know nothing of ranges."""
    reply.head(200, len(reply.data))
    reply.write(reply.data)


def without_length(reply: Reply) -> None:
    reply.head(200, None)
    reply.write(reply.data)


def held_until(told: threading.Event) -> Answer:
    """Send the head at once, and the data when told."""

    def answer(reply: Reply) -> None:
        reply.data_head(len(reply.data))
        told.wait(HOLD_TIMEOUT_S)
        reply.write(reply.data[reply.offset :])

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda reply: reply.head(code, **headers)


def hung_up(reply: Reply) -> None:
    reply.hang_up()


def garbage(reply: Reply) -> None:
    reply.say(b"SSH-2.0-OpenSSH_9.2\r\n")
