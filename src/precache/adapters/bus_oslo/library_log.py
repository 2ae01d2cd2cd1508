"""Limits what the messaging libraries log.

They log every attempt to connect, some with tracebacks, and warn of hundreds of waiting calls, which are normal here.
`BusState` logs the same in one sentence, once.
"""

from __future__ import annotations

import logging

_LIBRARIES = ("oslo_messaging", "oslo.messaging", "kombu", "amqp", "oslo_service", "oslo_utils.excutils")
_DRIVER = "oslo_messaging._drivers.impl_rabbit"
_WORTH_KNOWING = "The broker has blocked the connection"  # it runs out of memory or disk; nothing else shows this


def silence_libraries() -> None:
    """Silence the libraries' loggers, except for facts that only they know; harmless to repeat."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    driver = logging.getLogger(_DRIVER)
    driver.setLevel(logging.ERROR)
    if _is_worth_knowing not in driver.filters:
        driver.addFilter(_is_worth_knowing)


def _is_worth_knowing(record: logging.LogRecord) -> bool:
    return str(record.msg).startswith(_WORTH_KNOWING)
