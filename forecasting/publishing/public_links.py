"""Public links: the web addresses of a store's pages, where the store is served."""

import logging
import os
from urllib.parse import quote

_log = logging.getLogger(__name__)

PUBLIC_URL = "NIGHTCAST_PUBLIC_URL"


def public_link(path: str) -> str | None:
    """Return the web address of an object of the store; None where the store is not served.

    `NIGHTCAST_PUBLIC_URL` is the address under which a web server, or S3 itself, serves the store's root. A
    value that is not a web address is ignored with a warning.

    >>> os.environ[PUBLIC_URL] = "https://forecasts.example.com/store/"
    >>> public_link("index.html")
    'https://forecasts.example.com/store/index.html'
    >>> del os.environ[PUBLIC_URL]
    """
    base = os.environ.get(PUBLIC_URL)
    if not base:
        return None
    if not base.startswith(("http://", "https://")):
        _log.warning("links: %s is ignored: it must start with http:// or https://", PUBLIC_URL)
        return None
    return f"{base.rstrip('/')}/{quote(path, safe='/=')}"
