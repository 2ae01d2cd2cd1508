"""Every error that crosses a layer, in one tree; its branches are what the caller does next.

    PrecacheError
    |-- NotFound          what was named does not exist; do not retry
    |-- Conflict          the present state forbids it; read the state again, then decide
    |-- Refused           the request or the image is not acceptable; do not retry
    |-- Unavailable       a part is down or slow; retry later
    |-- Corrupt           the received data is wrong; discard it and fetch it again
    |-- Stopped           the work was stopped, its `reason` says why; nothing partial is left
    `-- InvariantBroken   a bug

`may_pass` says whether a job with `retries` tries a task again after the error: yes for Unavailable, Stopped and a full
disk (NotEnoughSpace); no for all others. Data that is corrupt, and an image or a host that is refused, stay so.

Errors take typed fields and build their `message` (what, which) and their `advice` (what to do now) themselves.
Neither contains a secret. Adapters translate foreign exceptions into these at their edge.
"""
# ruff: noqa: I001  `X as X` marks a name as public; the sorter would make a statement of each

from precache.core.errors.bugs import (
    IllegalTransition as IllegalTransition,
    ThreadDied as ThreadDied,
)
from precache.core.errors.conflict import (
    AddressUnavailable as AddressUnavailable,
    AggregateHasHosts as AggregateHasHosts,
    AggregateHostTaken as AggregateHostTaken,
    AggregateNameTaken as AggregateNameTaken,
    CellHasHosts as CellHasHosts,
    CellHostsInAggregates as CellHostsInAggregates,
    CellNameTaken as CellNameTaken,
    CleanRefused as CleanRefused,
    DiskExists as DiskExists,
    HostInAggregates as HostInAggregates,
    HostStillAlive as HostStillAlive,
    IdempotencyKeyReused as IdempotencyKeyReused,
    InventoryForeign as InventoryForeign,
    JobEnded as JobEnded,
    JobExists as JobExists,
    JobIsCancelled as JobIsCancelled,
    JobNotEnded as JobNotEnded,
    LeaseLost as LeaseLost,
    NothingToRetry as NothingToRetry,
    SharerStillThere as SharerStillThere,
    StateDirUnusable as StateDirUnusable,
    TokenNameTaken as TokenNameTaken,
)
from precache.core.errors.corrupt import (
    DigestMismatch as DigestMismatch,
    ImageTooLong as ImageTooLong,
    NoImageData as NoImageData,
)
from precache.core.errors.missing import (
    AggregateHostNotFound as AggregateHostNotFound,
    AggregateMetadataNotFound as AggregateMetadataNotFound,
    AggregateNotFound as AggregateNotFound,
    CellNotFound as CellNotFound,
    CertificateNotFound as CertificateNotFound,
    HostNotFound as HostNotFound,
    ImageHeldNowhere as ImageHeldNowhere,
    ImageNotCached as ImageNotCached,
    ImageNotFound as ImageNotFound,
    JobNotFound as JobNotFound,
    RelayNotFound as RelayNotFound,
    TaskNotFound as TaskNotFound,
    TokenNotFound as TokenNotFound,
)
from precache.core.errors.refused import (
    CacheNotDescribed as CacheNotDescribed,
    CacheUnusable as CacheUnusable,
    CachingUnsupported as CachingUnsupported,
    ComputeOutdated as ComputeOutdated,
    ConversionFailed as ConversionFailed,
    DatabaseUrlRefused as DatabaseUrlRefused,
    DiskRefused as DiskRefused,
    DiskTooSmall as DiskTooSmall,
    DiskUnreadable as DiskUnreadable,
    EntryCorrupt as EntryCorrupt,
    ImageCompressed as ImageCompressed,
    ImageFormatUnsupported as ImageFormatUnsupported,
    ImageNotActive as ImageNotActive,
    ImageNotAuthorized as ImageNotAuthorized,
    ImageNotOptedIn as ImageNotOptedIn,
    ImageNotPinned as ImageNotPinned,
    ImageOwnerNotListed as ImageOwnerNotListed,
    InvalidConfiguration as InvalidConfiguration,
    InvalidDigest as InvalidDigest,
    InvalidImageId as InvalidImageId,
    InvalidNotifyUrl as InvalidNotifyUrl,
    InvalidOption as InvalidOption,
    KeepingUnsupported as KeepingUnsupported,
    NotEnoughSpace as NotEnoughSpace,
    NotifyUrlRefused as NotifyUrlRefused,
    PrecachingOff as PrecachingOff,
    SchemaHalfDone as SchemaHalfDone,
    SchemaOutdated as SchemaOutdated,
    SchemaTooNew as SchemaTooNew,
    SecretUnreadable as SecretUnreadable,
    SignatureRefused as SignatureRefused,
    UnsafeImage as UnsafeImage,
    UnusableImage as UnusableImage,
    WindowNeverOpens as WindowNeverOpens,
)
from precache.core.errors.swarm import (
    ClockWrong as ClockWrong,
    ConductorUnreachable as ConductorUnreachable,
    HashesDiffer as HashesDiffer,
    NoCertificate as NoCertificate,
    PeerLost as PeerLost,
    PieceRefused as PieceRefused,
    PortsUnusable as PortsUnusable,
    RelayFailed as RelayFailed,
    RelayRefused as RelayRefused,
    WrongPiece as WrongPiece,
)
from precache.core.errors.tree import (
    Conflict as Conflict,
    Corrupt as Corrupt,
    InvariantBroken as InvariantBroken,
    NotFound as NotFound,
    PrecacheError as PrecacheError,
    Refused as Refused,
    Stopped as Stopped,
    Unavailable as Unavailable,
)
from precache.core.errors.unavailable import (
    BusUnavailable as BusUnavailable,
    ChangeUncertain as ChangeUncertain,
    ConductorUnavailable as ConductorUnavailable,
    ComputeUnreachable as ComputeUnreachable,
    DatabaseDamaged as DatabaseDamaged,
    DeadlinePassed as DeadlinePassed,
    DomainsUnknown as DomainsUnknown,
    HostNotReached as HostNotReached,
    SharersUnknown as SharersUnknown,
    IdentityServiceUnavailable as IdentityServiceUnavailable,
    ImageServiceUnavailable as ImageServiceUnavailable,
    InventoryUnavailable as InventoryUnavailable,
    KeyManagerUnavailable as KeyManagerUnavailable,
    ServiceTokenUnavailable as ServiceTokenUnavailable,
    StoreUnavailable as StoreUnavailable,
    TooManyCleanings as TooManyCleanings,
    TooManyPlans as TooManyPlans,
    TransferInterrupted as TransferInterrupted,
    TransferTooSlow as TransferTooSlow,
    WebhookFailed as WebhookFailed,
)
