"""Limit: one run of a panel at a time, whichever flow it belongs to.

The limit is a Prefect global concurrency limit with one slot, whose holder keeps a lease on it. A lease ends
with a killed run; but a server that keeps leases in memory, which is Prefect's default, forgets them when it
restarts, and the slot would be taken for ever. So a holder also shows a sign of life, a Prefect variable that
it changes every few seconds, and whoever waits frees a slot without one. A waiting run shows such a sign too,
so that a backfill can let it go first.

The store stays right without any of this; the limit only saves doing the work twice.
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
from prefect.settings import PREFECT_API_URL

from forecasting.errors import first_line

_log = logging.getLogger(__name__)

# Far longer than any run ahead should take; one that still waits then goes on all the same.
_LONGEST_WAIT_SECONDS = 6 * 60 * 60.0
_POLL_SECONDS = 2.0
_SIGN_SECONDS = 20.0
# Of a live run some signs may fail; of a dead one none comes. The same for whoever holds and whoever waits.
_SILENT_SECONDS = 75.0
# The server accepts no shorter one than 60 s. Renewed with every sign.
_LEASE_SECONDS = 90.0


@contextmanager
def panel_slot(panel: str, *, gives_way: bool = False, until: datetime | None = None) -> Iterator[None]:
    """Do the work of one run of `panel` while no other run of it does.

    Waits for the run that is at work; one that `gives_way` also waits for those that wait. At `until`, or
    after six hours, it goes on without, as it does where the server refuses. On the temporary server of a
    single command there is nobody to share with, and no limit.
    """
    if PREFECT_API_URL.value() is None:
        yield
        return
    with get_client(sync_client=True) as client:
        slot = _Slot(client, panel)
        try:
            lease = slot.take(gives_way, _longest_wait(until))
        except httpx.HTTPError as error:
            _log.warning("limit: runs without one, as the Prefect server gave none: %s", first_line(error))
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
    """A Prefect variable that its owner keeps changing while it lives."""

    def __init__(self, client: SyncPrefectClient, name: str) -> None:
        self._client = client
        self.name = name
        self._seen: Any = None
        self._since = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """What it says; None where there is none."""
        found = self._client.read_variable_by_name(self.name)
        value = found.value if found is not None else None
        if value != self._seen:
            self._seen, self._since = value, time.monotonic()
        return value if isinstance(value, dict) else None

    @property
    def is_silent(self) -> bool:
        """Whether `read` has found nothing new for so long that its owner must be dead."""
        return time.monotonic() - self._since >= _SILENT_SECONDS

    def show(self, **facts: str) -> None:
        """Say that this run lives."""
        run = f"{flow_run.name or 'a run'} ({flow_run.id or 'no flow run'})"
        value = {"run": run, "at": datetime.now(UTC).isoformat(), **facts}
        try:
            self._client.update_variable(VariableUpdate(name=self.name, value=value))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            self._create(value)

    def _create(self, value: dict[str, str]) -> None:
        try:
            self._client.create_variable(VariableCreate(name=self.name, value=value, tags=["nightcast"]))
        except ObjectAlreadyExists:
            _log.debug("limit: %s was made by another run this very moment", self.name)

    def remove(self) -> None:
        """Say that it is over."""
        try:
            self._client.delete_variable_by_name(self.name)
        except ObjectNotFound:
            _log.debug("limit: %s is gone already", self.name)


def sign_of(role: str, panel: str, client: SyncPrefectClient) -> Sign:
    """That of the run which holds a panel's slot (`holder`), or waits for it (`waiting`)."""
    return Sign(client, f"nightcast-{panel}-{role}")


class _Slot:
    """A panel's one slot, and who holds it or waits for it."""

    def __init__(self, client: SyncPrefectClient, panel: str) -> None:
        self._client = client
        self._panel = panel
        self._limit = f"nightcast-{panel}"
        self._holder = sign_of("holder", panel, client)
        self._waiting = sign_of("waiting", panel, client)
        self._forgotten = False

    def take(self, gives_way: bool, longest: float) -> UUID | None:  # noqa: FBT001 - it is passed on
        """The lease on the slot, once it is free; None when that took too long."""
        self._create()
        began, named = time.monotonic(), ""
        try:
            while not named or time.monotonic() - began < longest:
                ahead = self._ahead_of_us() if gives_way else None
                lease = self._try() if ahead is None else None
                if lease is not None:
                    self._holder.show(lease=str(lease))
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
                self._waiting.remove()
        _log.warning("limit: %s goes on beside %s, after waiting for %.0f s", self._panel, named, longest)
        return None

    def renew(self, lease: UUID) -> bool:
        """Keep the slot and say so; whether it is still this run's."""
        shown = self._holder.read()
        if shown is not None and shown.get("lease") != str(lease):
            return False
        try:
            self._client.renew_concurrency_lease(lease, _LEASE_SECONDS)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.GONE:
                raise
            # By a server that restarted: the slot is taken still, and the sign alone says by whom.
            self._forgotten = True
        self._holder.show(lease=str(lease))
        return True

    def give_back(self, lease: UUID) -> None:
        """Free the slot, unless another run has it by now."""
        shown = self._holder.read()
        if shown is not None and shown.get("lease") == str(lease):
            self._holder.remove()
            self._free(str(lease), forgotten=self._forgotten)

    def _create(self) -> None:
        """A slot, where the server has none; a limit that a person changed stays as it is."""
        try:
            self._client.read_global_concurrency_limit_by_name(self._limit)
        except ObjectNotFound:
            try:
                self._client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=self._limit, limit=1)
                )
            except ObjectAlreadyExists:
                _log.debug("limit: %s was made by another run this very moment", self._limit)

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
        """The run that waits and goes first; None when there is none, or none that lives."""
        shown = self._waiting.read()
        if shown is None:
            return None
        if self._waiting.is_silent:
            self._waiting.remove()
            return None
        return f"{shown['run']}, which waits too and goes first"

    def _at_work(self) -> str | None:
        """The run that holds the slot; None when it is dead, and the slot is free now."""
        shown = self._holder.read()
        if not self._holder.is_silent:
            return str(shown["run"]) if shown else "a run that has not said its name yet"
        name = shown["run"] if shown else "a run without a name"
        _log.warning("limit: frees the slot of %s: no sign of life for %.0f s", name, _SILENT_SECONDS)
        if shown is not None:
            self._holder.remove()
        self._free(shown["lease"] if shown else None, forgotten=True)
        return None

    def _free(self, lease: str | None, *, forgotten: bool) -> None:
        if lease is not None:
            self._client.release_concurrency_slots_with_lease(UUID(lease))
        if forgotten:  # then the lease frees nothing
            self._client.update_global_concurrency_limit(
                self._limit, GlobalConcurrencyLimitUpdate(active_slots=0)
            )


@contextmanager
def _held(slot: _Slot, lease: UUID) -> Iterator[None]:
    """Show signs of life from a thread, and give the slot back at the end.

    Nothing that fails here fails the run.
    """
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
        try:
            slot.give_back(lease)
        except httpx.HTTPError as error:
            _log.warning(
                "limit: the slot is not given back, and is freed when its lease ends: %s", first_line(error)
            )


def _show_signs(slot: _Slot, lease: UUID, over: threading.Event) -> None:
    while not over.wait(_SIGN_SECONDS):
        try:
            if not slot.renew(lease):
                _log.warning("limit: another run has taken the slot of this one, which goes on all the same")
                return
        except httpx.HTTPError as error:
            _log.warning("limit: the slot could not be kept, and is tried again: %s", first_line(error))
