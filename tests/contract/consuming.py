"""A consumer of notifications that shares no code with the sender but the AMQP client."""

from __future__ import annotations

import json
from typing import Any

import kombu


class Consumer:
    """Listens on the queue for a topic and priority, such as `versioned_notifications.info`."""

    def __init__(self, transport_url: str, exchange: str, queue: str) -> None:
        self._connection = kombu.Connection(transport_url.replace("rabbit://", "amqp://"))
        entity = kombu.Queue(
            queue,
            exchange=kombu.Exchange(exchange, type="topic", durable=False),
            routing_key=queue,
            durable=False,
            auto_delete=False,
        )
        self._queue = self._connection.SimpleQueue(entity)

    def take(self, number: int | None = None) -> list[dict[str, Any]]:
        """Return what is there, in order; with a number, wait for that many."""
        taken: list[dict[str, Any]] = []
        while number is None or len(taken) < number:
            try:
                message = self._queue.get(block=number is not None, timeout=30)
            except self._queue.Empty:
                if number is None:
                    return taken
                raise AssertionError(f"{len(taken)} of {number} notifications arrived") from None
            message.ack()
            envelope = message.payload if isinstance(message.payload, dict) else json.loads(message.payload)
            taken.append(json.loads(envelope["oslo.message"]))
        return taken

    def close(self) -> None:
        self._queue.close()
        self._connection.release()
