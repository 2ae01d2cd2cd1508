"""The image service of the benchmark, in a process of its own: Precache's embedded one, as `precache serve all` has it.

    python -m bench.image_server FOLDER INDEX

Reads all images of FOLDER once, which also brings them into the page cache, then prints one line of JSON: the URL and
the ids by file name. Ends when its standard input does.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from precache.imageserver import ImageLibrary, create_image_app
from precache.rules.listen_address import ListenAddress
from precache.wiring.http.server import HttpServer

THREADS = 4
PATIENCE = timedelta(minutes=10)


def main() -> None:
    folder, index = Path(sys.argv[1]), Path(sys.argv[2])
    library = ImageLibrary(images_dir=folder, index_path=index, patience=PATIENCE)
    server = HttpServer(address=ListenAddress("127.0.0.1", 0), threads=THREADS)
    url = server.bind()
    server.start({"/image": create_image_app(library=library)})
    ids = {image.file_name: image.id for image in library.images()}
    print(json.dumps({"url": f"{url}/image", "ids": ids}), flush=True)
    sys.stdin.read()
    server.stop(timedelta(seconds=1))
    library.close()


if __name__ == "__main__":
    main()
