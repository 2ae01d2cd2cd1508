"""The REST API: Nova's aggregate calls under `/compute`, Precache's own under `/v1`.

It validates, calls one port and renders. `routes.py` is the table of all requests, `dispatch.py` the order of the
checks, `openapi.yaml` the description of every body. It uses no adapter and no data of images.
"""
