"""`precache serve images`: a directory of images as an image service, for hosts on other machines, too."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precache.adapters.clock_system import SystemClock
from precache.adapters.identity_tokens import KnownTokens, identified_by_token
from precache.adapters.sql import Limits
from precache.adapters.tokens_sql import SqlTokens
from precache.config.load import Config
from precache.core.errors import InvalidConfiguration
from precache.imageserver.app import create_image_app
from precache.imageserver.library import ImageLibrary
from precache.imageserver.request_log import RequestLog
from precache.rules.listen_address import ListenAddress, check_noauth, check_tokens
from precache.wiring.browser_guard import guard_browsers
from precache.wiring.databases import current_database
from precache.wiring.http.server import HttpServer
from precache.wiring.state_dir import StateDir


@dataclass(frozen=True, slots=True)
class ImageServiceOptions:
    """The options of the command line. images: the directory that is served. threads: concurrent transfers."""

    images: Path
    state: StateDir
    address: ListenAddress
    threads: int


class ImagesProcess:
    """The image service. `start` returns the URL when it answers; call `stop` even if `start` fails.

    Both raise only errors of core/errors.
    """

    def __init__(self, *, config: Config, serving: ImageServiceOptions) -> None:
        strategy = config.api.auth_strategy
        if strategy == "noauth":
            check_noauth(serving.address)
        elif strategy == "token":
            check_tokens(serving.address, has_tls=config.api.tls_files is not None)
        else:
            raise InvalidConfiguration(
                "`precache serve images` knows no Keystone: set [api] auth_strategy to token, or to noauth on a "
                "loopback address; where there is a Keystone, use Glance"
            )
        self._config = config
        self._serving = serving
        self._stops = ExitStack()

    def start(self) -> str:
        state, serving = self._serving.state, self._serving
        server = HttpServer(address=serving.address, threads=serving.threads, tls_files=self._config.api.tls_files)
        state.take()
        self._stops.callback(state.release)
        library = ImageLibrary(images_dir=serving.images, index_path=state.image_index)
        self._stops.callback(library.close)
        app = self._behind_identification(library, RequestLog(path=state.image_request_log))
        url = server.bind()
        self._stops.callback(server.stop)
        server.start({"/": app})
        return url

    def stop(self) -> None:
        self._stops.close()

    def _behind_identification(self, library: ImageLibrary, log: RequestLog) -> Any:
        asks_for_token = self._config.api.auth_strategy == "token"
        app = create_image_app(library=library, log=log, asks_for_token=asks_for_token)
        if not asks_for_token:
            return guard_browsers(app, self._serving.address)
        database = current_database(self._config, Limits.for_requests())
        self._stops.callback(database.close)
        return identified_by_token(app, KnownTokens(store=SqlTokens(database=database), clock=SystemClock()))
