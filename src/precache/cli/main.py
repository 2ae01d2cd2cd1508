"""The entry point of the program `precache`."""

from __future__ import annotations

import os
import sys

from precache.cli.streams import flush_streams, prepare_streams


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    prepare_streams()
    try:
        # Imported here, so that Ctrl-C during the import prints no traceback.
        from precache.cli.app import PrecacheApp

        app = PrecacheApp(environ=os.environ, stdout=sys.stdout, stderr=sys.stderr)
        code = app.run(sys.argv[1:] if argv is None else argv)
    except SystemExit as leaving:  # argparse: --version, --help, a wrong option
        code = leaving.code if isinstance(leaving.code, int) else 0
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 141
    return flush_streams(code, sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
