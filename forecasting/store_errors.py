"""What went wrong with a store, in plain words: a full disk, a missing bucket, a server that does not answer.

`obstore`, `deltalake` and `pyarrow` report the same fault by different errors, some of them over many lines.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser

from deltalake.exceptions import DeltaError
from obstore.exceptions import BaseError

from forecasting.errors import StoreError, StoreUnavailableError, one_line

# Rust writes the number of a system error as `(os error 28)` or as `code: 28`; S3 servers an error code.
_NUMBER = re.compile(r"os error (\d+)|\bcode: (\d+),")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_ARROW = re.compile(r"\s*(?:->|\N{DOWNWARDS ARROW WITH TIP RIGHTWARDS})\s*")
_DEBUG = "\nDebug source:"
_LONGEST = 300

_DISK = {
    errno.ENOSPC: "its disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "a file may not grow that large; see: ulimit -f",
    errno.EROFS: "its file system is read-only; mount it for writing",
    errno.EIO: "its disk cannot be read or written; look at the system's log",
    errno.ENOTDIR: "a file is where a folder must be; check --store or NIGHTCAST_STORE",
}
_DENIED = {errno.EACCES, errno.EPERM}
_CODES = {
    "NoSuchBucket": "there is no such bucket; make it, or check --store or NIGHTCAST_STORE",
    "AccessDenied": "access is denied; check the credentials, and what they may do",
    "InvalidAccessKeyId": "the access key is not known there; check the credentials",
    "SignatureDoesNotMatch": "the secret key is wrong; check the credentials",
    "ExpiredToken": "the session token has expired; get a new one",
}
_REFUSED = re.compile(r"status (?:code )?:?\s*(?:401|403)\b|40[13] Forbidden|40[13] Unauthorized")
_NETWORK = re.compile(
    r"HTTP error|error sending request|connection (?:refused|reset|closed)|timed? ?out|"
    r"retries|Server returned non-2xx|dns error|5\d\d (?:Internal|Bad|Service|Gateway)",
    re.IGNORECASE,
)


def explain(error: BaseException, uri: str) -> StoreError | None:
    """Return the error in plain words if it is the fault of a disk, a network or a server; else None.

    Args:
        error: an error of `obstore`, `deltalake`, `pyarrow` or the system.
        uri: the store's root, or where in the store it happened.
    """
    why, uri = _why(error), uri.removeprefix("file://")
    if why is not None:
        return StoreError(f"cannot use the store {uri}: {why}")
    away = isinstance(error, TimeoutError | ConnectionError) or _NETWORK.search(str(error))
    if not away or isinstance(error, FileNotFoundError):
        return None
    return StoreUnavailableError(
        f"the store {uri} does not answer: {_brief(error)}; check the network and the server, then run again"
    )


def as_store_error(error: BaseException, uri: str) -> StoreError:
    """Return any error of a store as a `StoreError`: in plain words, or else in its own."""
    return explain(error, uri) or StoreError(f"cannot use the store {uri}: {_brief(error)}")


@contextmanager
def faults_in_plain_words(uri: str) -> Iterator[None]:
    """Turn the faults of disks, networks and servers into a `StoreError`. Other errors pass as they are.

    Raises:
        StoreError: see `explain`.
    """
    try:
        yield
    except (OSError, BaseError, DeltaError) as error:
        told = explain(error, uri)
        if told is None:
            raise
        raise told from error


def _why(error: BaseException) -> str | None:
    """What is wrong and what to do, if a person must do it."""
    text, number = str(error), _number(error)
    if number in _DENIED:
        return f"permission denied; let the user {_user()} read and write there"
    code = _CODE.search(text)
    if code and code[1] in _CODES:
        return _CODES[code[1]]
    return _CODES["AccessDenied"] if _REFUSED.search(text) else _DISK.get(number or 0)


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _NUMBER.search(str(error))
    return int(found[1] or found[2]) if found else None


def _brief(error: BaseException) -> str:
    """The error's own words in one line, without the dump of its state."""
    text = _ARROW.sub(": ", one_line(str(error).partition(_DEBUG)[0] or error)).rstrip(": ")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # a user without a name, as in many containers
        return "of this process"
