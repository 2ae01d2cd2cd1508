"""The image service of a site, in the namespace of the origin: Precache's embedded one.

    python -m tests.lab.swarm.origin FOLDER STATE ADDRESS

Reads all images of FOLDER, then prints one line of JSON: its URL, and the ids of the images by file name. Each request
is a line of `STATE/requests.log`, with the bytes that were sent. Ends when its standard input does.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from precache.imageserver import ImageLibrary, create_image_app
from precache.imageserver.request_log import RequestLog
from precache.rules.listen_address import ListenAddress
from precache.wiring.http.server import HttpServer

THREADS = 80  # all hosts at once, where each fetches by itself
PATIENCE = timedelta(minutes=2)
LOG = "requests.log"


def main() -> None:
    images, state, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    library = ImageLibrary(images_dir=images, index_path=state / "index", patience=PATIENCE, settle=timedelta())
    server = HttpServer(address=ListenAddress(address, 0), threads=THREADS)
    url = server.bind()
    server.start({"/image": create_image_app(library=library, log=RequestLog(path=state / LOG))})
    ids = {image.file_name: image.id for image in library.images()}
    print(json.dumps({"url": f"{url}/image", "ids": ids}), flush=True)
    sys.stdin.read()
    server.stop(timedelta(seconds=1))
    library.close()


if __name__ == "__main__":
    main()
