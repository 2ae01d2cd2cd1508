"""Makes and reads the message `check_swarm` and its answer: how a host takes part in swarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from precache.adapters.bus_oslo.fields import check_host, instant_text, read_instant
from precache.adapters.bus_oslo.messages import read_reason
from precache.adapters.bus_oslo.relay_messages import peer_message, read_address, read_peer
from precache.core.relays import Peer
from precache.core.swarm_checks import SwarmState


def check_swarm_message(host: str, peer: Peer | None) -> dict[str, Any]:
    return {"host": host, "peer": None if peer is None else peer_message(peer)}


def read_check_swarm(message: Mapping[str, Any], host: str) -> Peer | None:
    """Return the host to try. Raises Malformed, also if the message is meant for another host."""
    check_host(message, host)
    return None if message.get("peer") is None else read_peer(message["peer"])


def swarm_state_message(state: SwarmState) -> dict[str, Any]:
    return {
        "address": state.address,
        "certified_until": instant_text(state.certified_until),
        "unreached": state.unreached,
    }


def read_swarm_state(answer: Mapping[str, Any]) -> SwarmState:
    """Return what the host says. Raises Malformed."""
    return SwarmState(
        address=read_address(answer, "address"),
        certified_until=read_instant(answer.get("certified_until")),
        unreached=read_reason({"reason": answer.get("unreached")}),
    )
