"""Panel slot: only one run of a panel works at a time, whichever flow it belongs to.

The slot is a Prefect global concurrency limit of 1. The run that has it, the holder, keeps a lease on it. The
lease of a killed run expires. But a server that keeps leases in memory, Prefect's default, forgets them when
it restarts, and the slot then stays taken. So the holder also shows a sign of life: a Prefect variable that
it changes every few seconds. A waiting run frees a slot whose sign has stopped changing. A waiting run also
shows a sign of its own, so that a backfill lets it go first.

The store is correct without any of this: the slot only avoids doing the same work twice.
"""

import contextvars
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    VariableCreate,
    VariableUpdate,
)
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.runtime import flow_run

from forecasting.errors import first_line
from tasks.server_kind import has_lasting_server

_log = logging.getLogger(__name__)

# Far longer than a run takes. A run that has waited this long goes on without the slot.
_LONGEST_WAIT_SECONDS = 6 * 60 * 60.0
_POLL_SECONDS = 2.0
_SIGN_SECONDS = 20.0
# A live run may fail to show a few signs in a row; after this long without a new one it counts as dead.
_SILENT_SECONDS = 75.0
# Renewed with every sign. The server accepts no lease shorter than 60 s.
_LEASE_SECONDS = 90.0


@contextmanager
def panel_slot(panel: str, *, gives_way: bool = False, until: datetime | None = None) -> Iterator[None]:
    """Hold the panel's slot, so that no other run of the panel works at the same time.

    A run waits for the slot until `until`, six hours at most, and then goes on without it. It also goes on
    without it if the server fails. The temporary server of a single command has no other runs and no limit.

    Args:
        panel: the panel's name.
        gives_way: whether to let other waiting runs go first.
        until: when to stop waiting.
    """
    if not has_lasting_server():
        yield
        return
    with get_client(sync_client=True) as client:
        slot = _Slot(client, panel)
        try:
            lease = slot.take(gives_way, _longest_wait(until))
        except httpx.HTTPError as error:
            _log.warning(
                "limit: goes on without the slot, because the Prefect server failed: %s", first_line(error)
            )
            lease = None
        if lease is None:
            yield
            return
        with _held(slot, lease):
            yield


def _longest_wait(until: datetime | None) -> float:
    left = _LONGEST_WAIT_SECONDS if until is None else (until - datetime.now(UTC)).total_seconds()
    return max(0.0, min(left, _LONGEST_WAIT_SECONDS))


class Sign:
    """A sign of life: a Prefect variable that its owner keeps changing while it lives."""

    def __init__(self, client: SyncPrefectClient, name: str) -> None:
        self._client = client
        self.name = name
        self._seen: Any = None
        self._since = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """The variable's value; None if there is no such variable."""
        found = self._client.read_variable_by_name(self.name)
        value = found.value if found is not None else None
        if value != self._seen:
            self._seen, self._since = value, time.monotonic()
        return value if isinstance(value, dict) else None

    @property
    def is_silent(self) -> bool:
        """Whether `read` has found the same value for so long that the owner must be dead."""
        return time.monotonic() - self._since >= _SILENT_SECONDS

    def show(self, **facts: str) -> None:
        """Show that this run lives."""
        value = self._value(facts)
        try:
            self._client.update_variable(VariableUpdate(name=self.name, value=value))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            self._create(value)

    def claim(self) -> bool:
        """Show the sign if there is none yet, and return whether it is this run's. One of several gets it."""
        if self._create(self._value({})):
            return True
        self.read()
        if self.is_silent:  # its owner was killed; the next call gets it
            self.remove()
        return False

    def remove(self) -> None:
        """Remove the sign."""
        try:
            self._client.delete_variable_by_name(self.name)
        except ObjectNotFound:
            _log.debug("limit: %s is gone already", self.name)

    def _value(self, facts: dict[str, str]) -> dict[str, str]:
        run = f"{flow_run.name or 'a run'} ({flow_run.id or 'no flow run'})"
        return {"run": run, "at": datetime.now(UTC).isoformat(), **facts}

    def _create(self, value: dict[str, str]) -> bool:
        try:
            self._client.create_variable(VariableCreate(name=self.name, value=value, tags=["nightcast"]))
        except ObjectAlreadyExists:
            _log.debug("limit: another run has just created %s", self.name)
            return False
        return True


def sign_of(role: str, panel: str, client: SyncPrefectClient) -> Sign:
    """The sign of a run by its role: `holder` of a panel's slot, `waiting` for it, or `freeing` it."""
    return Sign(client, f"nightcast-{panel}-{role}")


class _Slot:
    """A panel's slot, with the signs of the runs that hold it, wait for it or free it."""

    def __init__(self, client: SyncPrefectClient, panel: str) -> None:
        self._client = client
        self._panel = panel
        self._limit = f"nightcast-{panel}"
        self._holder = sign_of("holder", panel, client)
        self._waiting = sign_of("waiting", panel, client)
        self._freeing = sign_of("freeing", panel, client)
        self._is_shown = False  # whether the holder's sign has been this run's
        self._forgotten = False  # whether the server has lost the lease

    def take(self, gives_way: bool, longest: float) -> UUID | None:  # noqa: FBT001 - it is passed on
        """Wait for the slot and return the lease on it; None if that took longer than `longest` seconds."""
        self._create()
        began, named = time.monotonic(), ""
        try:
            while not named or time.monotonic() - began < longest:
                ahead = self._ahead_of_us() if gives_way else None
                lease = self._try() if ahead is None else None
                if lease is not None:
                    with _logged("the first sign of life failed and is tried again"):
                        self._show(lease)
                    return lease
                ahead = ahead or self._at_work()
                if ahead is None:
                    continue  # the slot has just been freed
                if ahead != named:
                    _log.info("limit: %s waits for %s", self._panel, ahead)
                    named = ahead
                if not gives_way:
                    self._waiting.show()
                time.sleep(_POLL_SECONDS)
        finally:
            if named and not gives_way:
                with _logged("the sign of waiting could not be removed, and is ignored once it is silent"):
                    self._waiting.remove()
        _log.warning("limit: %s goes on beside %s, after waiting for %.0f s", self._panel, named, longest)
        return None

    def renew(self, lease: UUID) -> bool:
        """Renew the lease, show a sign, and return whether this run still holds the slot."""
        shown = self._holder.read()
        if self._is_shown and shown is not None and shown.get("lease") != str(lease):
            return False
        try:
            self._client.renew_concurrency_lease(lease, _LEASE_SECONDS)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.GONE:
                raise
            # The server restarted and forgot the lease. The slot is still taken; only the sign says by whom.
            self._forgotten = True
        self._show(lease)
        return True

    def give_back(self, lease: UUID) -> None:
        """Free the slot, unless another run holds it by now."""
        if self._is_shown:
            shown = self._holder.read()
            if shown is None or shown.get("lease") != str(lease):
                return
            self._holder.remove()
        self._free(str(lease), forgotten=self._forgotten)

    def _show(self, lease: UUID) -> None:
        self._holder.show(lease=str(lease))
        self._is_shown = True

    def _create(self) -> None:
        """Create the limit if the server has none. A limit that a person changed stays as it is."""
        try:
            self._client.read_global_concurrency_limit_by_name(self._limit)
        except ObjectNotFound:
            try:
                self._client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=self._limit, limit=1)
                )
            except ObjectAlreadyExists:
                _log.debug("limit: another run has just created %s", self._limit)

    def _try(self) -> UUID | None:
        try:
            answer = self._client.increment_concurrency_slots_with_lease(
                [self._limit], 1, "concurrency", _LEASE_SECONDS
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.LOCKED:
                raise
            return None
        return UUID(answer.json()["lease_id"])

    def _ahead_of_us(self) -> str | None:
        """The live run that waits and goes first; None if there is none."""
        shown = self._waiting.read()
        if shown is None:
            return None
        if self._waiting.is_silent:
            self._waiting.remove()
            return None
        return f"{shown['run']}, which waits too and goes first"

    def _at_work(self) -> str | None:
        """The run that holds the slot. If it is dead, free the slot and return None."""
        shown = self._holder.read()
        if not self._holder.is_silent:
            return str(shown["run"]) if shown else "a run that has not shown its name yet"
        if not self._freeing.claim():
            return "a run that frees the slot of a dead one"
        try:
            return self._take_from_the_dead()
        finally:
            with _logged("the claim to free the slot could not be removed, and is ignored once it is silent"):
                self._freeing.remove()

    def _take_from_the_dead(self) -> str | None:
        """Free the slot, unless another run did so since its holder was found dead, and has it now."""
        shown = self._holder.read()
        if not self._holder.is_silent:
            return str(shown["run"]) if shown else None
        name = shown["run"] if shown else "a run without a name"
        _log.warning("limit: frees the slot of %s: no sign of life for %.0f s", name, _SILENT_SECONDS)
        self._holder.show(lease="")  # first, so that no other run finds the dead one's sign any more
        self._free(shown.get("lease") if shown else None, forgotten=True)
        return None

    def _free(self, lease: str | None, *, forgotten: bool) -> None:
        if lease:
            self._client.release_concurrency_slots_with_lease(UUID(lease))
        if forgotten:  # then releasing the lease frees nothing
            self._client.update_global_concurrency_limit(
                self._limit, GlobalConcurrencyLimitUpdate(active_slots=0)
            )


@contextmanager
def _held(slot: _Slot, lease: UUID) -> Iterator[None]:
    """Show signs of life from a thread, and give the slot back at the end. No failure here fails the run."""
    over = threading.Event()
    context = contextvars.copy_context()  # Prefect's settings, and the run that log lines belong to
    thread = threading.Thread(
        target=context.run, args=(_show_signs, slot, lease, over), name="panel-slot", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with _logged("the slot could not be given back, and is freed when its lease expires"):
            slot.give_back(lease)


def _show_signs(slot: _Slot, lease: UUID, over: threading.Event) -> None:
    while not over.wait(_SIGN_SECONDS):
        with _logged("the lease could not be renewed; that is tried again"):
            if not slot.renew(lease):
                _log.warning("limit: another run has taken the slot of this run, which goes on all the same")
                return


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Log a failure of the server: the work can go on without what failed."""
    try:
        yield
    except httpx.HTTPError as error:
        _log.warning("limit: %s: %s", what, first_line(error))
