"""URIs: what a panel writes to say where its prices are, and how to name that without a secret."""

import os
import re
from urllib.parse import urlsplit

from forecasting.errors import SourceError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def scheme_of(uri: str) -> str:
    """Its scheme, in lower case; `file` for a path."""
    scheme, mark, _ = uri.partition("://")
    return scheme.lower() if mark else "file"


def fill_in(uri: str) -> str:
    """The URI with each `${NAME}` replaced by that environment variable: passwords stay out of panel files.

    Raises:
        SourceError: there is no such variable.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise SourceError(
                f"no environment variable {match[1]}, which [source].uri names; set it, or correct the panel"
            )
        return os.environ[match[1]]

    return _VARIABLE.sub(value, uri)


def shown(uri: str) -> str:
    """The URI as messages name it: without user, password and query, any of which may be a secret."""
    if "://" not in uri:
        return uri
    scheme, _, rest = uri.partition("://")
    parts = urlsplit(uri)
    if "@" in rest.removeprefix(parts.netloc):  # a password with an unescaped separator could hide anywhere
        return f"{scheme}://..."
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
