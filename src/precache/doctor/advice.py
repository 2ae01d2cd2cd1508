"""What to do about an error of ours: errors tell it in the sentence that a finding has in two parts, or not at all."""

from __future__ import annotations

from precache.core.errors import (
    BusUnavailable,
    DatabaseUrlRefused,
    IdentityServiceUnavailable,
    ImageServiceUnavailable,
    InvalidConfiguration,
    InvariantBroken,
    InventoryUnavailable,
    PrecacheError,
    SchemaHalfDone,
    SchemaOutdated,
    SchemaTooNew,
    SecretUnreadable,
    StoreUnavailable,
    Unavailable,
)
from precache.doctor.findings import Finding, failed

REPORT_IT = "this is a bug; report it with what `precache --debug doctor` shows"

# First match decides, so a child stands before its parent.
_BY_ERROR: tuple[tuple[type[PrecacheError], str], ...] = (
    (InvalidConfiguration, "correct that option in the configuration file"),
    (BusUnavailable, "see that the broker is there, and that the transport URL leads to it"),
    (
        InventoryUnavailable,
        "see that Nova is there, that the catalogue or [nova] endpoint_override leads to it, and that [service_user] "
        "may read it",
    ),
    (
        ImageServiceUnavailable,
        "see that Glance is there, and that the catalogue or [glance] endpoint_override leads to it",
    ),
    (IdentityServiceUnavailable, "see that Keystone is there, and that auth_url leads to it"),
    (StoreUnavailable, "start the database, or correct [database] connection: host, user, password, name"),
    (DatabaseUrlRefused, "correct [database] connection"),
    (
        SecretUnreadable,
        "put that key back, behind the newer one, or enter the secret anew: precache cell set NAME --transport-url -",
    ),
    (SchemaTooNew, "run the release that made it here, too, or restore the backup taken before that upgrade"),
    (SchemaHalfDone, "restore the backup taken before the upgrade, and upgrade again"),
    (InvariantBroken, REPORT_IT),
    (Unavailable, "see that it is there and can be reached from here, then run this again"),
    (PrecacheError, "correct what is named here, then run this again"),
)

_TELL_IT_THEMSELVES = (InvalidConfiguration, BusUnavailable, InventoryUnavailable)
"""Their reasons are ours, and most have what to do behind a semicolon. Those of other errors may be a library's."""


def failure(error: PrecacheError) -> Finding:
    """Return the finding of a check that ended with this error."""
    text = str(error)
    if isinstance(error, SchemaOutdated):
        return failed(text, f"run `{error.command}`")
    found, _, advice = text.partition("; ") if isinstance(error, _TELL_IT_THEMSELVES) else (text, "", "")
    return failed(found, advice or next(advice for kind, advice in _BY_ERROR if isinstance(error, kind)))
