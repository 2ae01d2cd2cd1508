"""The format of errors, as in Glance: JSON if the client accepts it, otherwise a small HTML page."""

from __future__ import annotations

import html
import json

import falcon


def write_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Serialize a Falcon error into the response."""
    status = falcon.code_to_http_status(error.status)
    code, _, title = status.partition(" ")
    text = error.description or error.title or title
    if "json" in (req.get_header("Accept") or ""):
        resp.content_type = falcon.MEDIA_JSON
        resp.text = json.dumps({"message": html.escape(text), "code": status, "title": title})
        return
    resp.content_type = "text/html; charset=UTF-8"
    resp.text = (
        f"<html>\n <head>\n  <title>{code} {title}</title>\n </head>\n"
        f" <body>\n  <h1>{code} {title}</h1>\n  {html.escape(text)}\n </body>\n</html>"
    )
