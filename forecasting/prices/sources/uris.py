"""URIs: the location of a panel's prices, and how to show it in messages without secrets."""

import os
import re
from urllib.parse import urlsplit

from forecasting.errors import SourceError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def scheme_of(uri: str) -> str:
    """The scheme of a URI in lower case; `file` for a path."""
    scheme, mark, _ = uri.partition("://")
    return scheme.lower() if mark else "file"


def fill_in(uri: str) -> str:
    """The URI with each `${NAME}` replaced by the environment variable, so panel files need no passwords.

    Raises:
        SourceError: the variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise SourceError(
                f"no environment variable {match[1]}, which [source].uri names; set it, or correct the panel"
            )
        return os.environ[match[1]]

    return _VARIABLE.sub(value, uri)


def shown(uri: str) -> str:
    """The URI as messages show it: without user, password and query, which may be secret."""
    if "://" not in uri:
        return uri
    scheme, _, rest = uri.partition("://")
    parts = urlsplit(uri)
    if "@" in rest.removeprefix(parts.netloc):  # an unescaped separator in a password moves parts of it here
        return f"{scheme}://..."
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
