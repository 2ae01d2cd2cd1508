"""Names and versions of the messages on a bus; docs/protocol.md says what each message holds.

A version is MAJOR.MINOR. A new field or method raises MINOR: old and new releases still understand each other, because
unknown fields are ignored. A change that an older peer would misunderstand raises MAJOR.
"""

from __future__ import annotations

EXCHANGE = "precache"

COMPUTE_TOPIC = "precache-compute"  # server: the name of the host
CONDUCTOR_TOPIC = "precache-conductor"  # on the bus of each cell: one of the conductors receives each message
RELAY_TOPIC = "precache-relay"  # on the bus of each cell: one of the conductors receives each message
WAKE_TOPIC = "precache-wake"  # on the bus of API and conductors: every conductor receives it
SURVEY_TOPIC = "precache-survey"  # on the same bus: one of the conductors receives each message

RPC_VERSION = "1.5"
"""The version that this release speaks."""

BASE_VERSION = "1.0"
"""The version of messages that need no newer one, so that every peer of this MAJOR accepts them."""

CACHE_IMAGES_SINCE = BASE_VERSION
"""The first version in which a host understands `cache_images` without options."""

OPTIONS_SINCE = "1.1"
"""The first version in which a host reads `orders`, and so the options of each image."""

CANCEL_SINCE = "1.2"
"""The first version in which a host knows `cancel_job`, and answers with the outcome `cancelled`."""

LATER_OPTIONS_SINCE = "1.3"
"""The first version in which a host caches kernels and ramdisks as they are, and keeps images for a time."""

DESCRIBE_SINCE = "1.3"
"""The first version in which a host knows `describe_cache`."""

SURVEY_SINCE = "1.3"
"""The first version in which a conductor knows `survey_hosts`."""

CLEAN_SINCE = "1.4"
"""The first version in which a host and a conductor know `clean_cache`."""

OPERATIONS_SINCE = "1.4"
"""The first version in which a host knows `process_images`, and so the other operations than to cache."""

END_TIMES_SINCE = "1.4"
"""The first version in which a host keeps images until a given time (`keep_until`)."""

SWARM_SINCE = "1.5"
"""The first version in which a host knows `change_relay` and `check_swarm`, and reads `by_swarm`, and a conductor knows
`join_relay`, `report_relay` and `certify_host`."""

STEERING_SINCE = "1.3"
"""The first version in which a host knows `pause_job` and `limit_job`, and reads `retry_count`."""
