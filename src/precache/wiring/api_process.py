"""`precache serve api`: the process that accepts requests; also builds the application for other WSGI servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from precache.adapters.bus_oslo import BusSurvey, BusWake, open_bus
from precache.adapters.clock_system import SystemClock
from precache.adapters.identity_keystone import keystone
from precache.adapters.identity_tokens import KnownTokens, identified_by_token
from precache.adapters.sql import Limits
from precache.adapters.tokens_sql import SqlTokens
from precache.api.identity import noauth
from precache.config.identity import require_authtoken
from precache.config.images import check_token_endpoints
from precache.config.load import Config
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import ImageSize
from precache.core.errors import ConductorUnavailable
from precache.core.host_survey import Survey
from precache.rules.listen_address import ListenAddress, check_noauth, check_tokens
from precache.wiring.api_app import api_app
from precache.wiring.browser_guard import guard_browsers
from precache.wiring.databases import current_database
from precache.wiring.http.server import HttpServer
from precache.wiring.inventory import configured_inventory
from precache.wiring.service_user import image_service_of, service_session

RECORD_PATIENCE = timedelta(seconds=12)
"""How long Glance may take for a record while a client waits; most clients stop waiting after 30 s or 60 s."""


class ApiProcess:
    """The API on an address of its own. `start` returns the URL when it answers; call `stop` even if it fails.

    Both raise only errors of core/errors.
    """

    def __init__(self, *, config: Config, address: ListenAddress) -> None:
        if config.api.auth_strategy == "noauth":
            check_noauth(address)
        if config.api.auth_strategy == "token":
            check_tokens(address, has_tls=config.api.tls_files is not None)
        self._config = config
        self._address = address
        self._stops = ExitStack()

    def start(self) -> str:
        app = build_api(self._config, self._stops)
        if self._config.api.auth_strategy == "noauth":
            app = guard_browsers(app, self._address)
        server = HttpServer(
            address=self._address, threads=self._config.api.workers, tls_files=self._config.api.tls_files
        )
        url = server.bind()
        self._stops.callback(server.stop)
        server.start({"/": app})
        return url

    def stop(self) -> None:
        self._stops.close()


def build_api(config: Config, at_stop: ExitStack) -> Any:
    """Return the WSGI application with authentication in front of it. at_stop: gets the callbacks for the end.

    Raises InvalidConfiguration, SchemaOutdated, SchemaTooNew, StoreUnavailable.
    """
    if config.api.auth_strategy == "token":
        # A caller's token is sent there to check whether the caller may use the image.
        check_token_endpoints(config.glance.endpoints, "[api] auth_strategy = token")
    database = current_database(config, Limits.for_requests())
    at_stop.callback(database.close)
    session = service_session(config)
    wake, conductors = _conductors(config, at_stop)
    app = api_app(
        config=config,
        auth_strategy=config.api.auth_strategy or "keystone",
        database=database,
        inventory=configured_inventory(config, database, session),
        images=image_service_of(config, session, record_timeout=RECORD_PATIENCE),
        at_stop=at_stop,
        wake=wake,
        survey=conductors,
        cleaning=conductors,
    )
    if config.api.auth_strategy == "noauth":
        return noauth(app)
    if config.api.auth_strategy == "token":
        return identified_by_token(app, KnownTokens(store=SqlTokens(database=database), clock=SystemClock()))
    require_authtoken(config.oslo)
    return keystone(app, config.oslo)


def _conductors(config: Config, at_stop: ExitStack) -> tuple[Callable[[], None], BusSurvey | _NoBus]:
    """Return how to wake the conductors, and how to ask them about the caches of hosts."""
    if config.bus.transport_url is None:
        return lambda: None, _NoBus()  # The conductors check for jobs every [conductor] poll_interval.
    bus = open_bus(config.oslo, config.bus.transport_url)
    at_stop.callback(bus.close)
    return BusWake(bus=bus), BusSurvey(bus=bus)


_NO_BUS = "the API has no message bus; set [DEFAULT] transport_url as on the conductors"


class _NoBus:
    """The ports `CacheSurvey` and `CacheCleaning` of an API without a message bus."""

    def ask(self, hosts: Sequence[str], images: Sequence[ImageSize]) -> Survey:  # noqa: ARG002  whatever is asked
        raise ConductorUnavailable(_NO_BUS)

    def clean(self, host: str, request: CleanRequest) -> CleanResult:  # noqa: ARG002  whatever is asked
        raise ConductorUnavailable(_NO_BUS)
