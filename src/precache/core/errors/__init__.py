"""Every error that crosses a layer, in one tree, cut by what the caller does next.

    PrecacheError
    |-- NotFound          name what is missing; do not retry
    |-- Conflict          the state of things forbids it; look again, then decide
    |-- Refused           the request or the image is not acceptable; do not retry
    |-- Unavailable       a part is away or slow; retry later
    |-- Corrupt           what arrived is not what was promised; discard and fetch again
    |-- Stopped           we were asked to stop; whatever was begun is undone
    `-- InvariantBroken   a bug of ours

Errors take typed fields and build their message themselves: what, which, and what to do now. A message
never holds a secret. Adapters translate foreign exceptions into these at their edge.
"""

from precache.core.errors.bugs import (
    IllegalTransition,
)
from precache.core.errors.conflict import (
    AggregateHasHosts,
    AggregateHostTaken,
    AggregateNameTaken,
    CellHasHosts,
    CellHostsInAggregates,
    CellNameTaken,
    DiskExists,
    HostInAggregates,
    HostStillHeard,
    InventoryForeign,
    JobExists,
    LeaseLost,
)
from precache.core.errors.corrupt import (
    DigestMismatch,
    ImageTooLong,
    NoImageData,
)
from precache.core.errors.missing import (
    AggregateHostNotFound,
    AggregateMetadataNotFound,
    AggregateNotFound,
    CellNotFound,
    HostNotFound,
    ImageNotCached,
    ImageNotFound,
    JobNotFound,
    TaskNotFound,
)
from precache.core.errors.refused import (
    CacheFull,
    CacheUnusable,
    CachingUnsupported,
    ComputeOutdated,
    ConversionFailed,
    DatabaseUrlRefused,
    DiskFilledUp,
    DiskRefused,
    DiskTooSmall,
    DiskUnreadable,
    ImageFormatUnsupported,
    ImageNotActive,
    ImageNotAuthorized,
    InvalidConfiguration,
    InvalidDigest,
    InvalidImageId,
    NotEnoughSpace,
    SchemaHalfDone,
    SchemaOutdated,
    SchemaTooNew,
    SchemaUnmarked,
    SecretUnreadable,
    UnsafeImage,
)
from precache.core.errors.tree import (
    Conflict,
    Corrupt,
    InvariantBroken,
    NotFound,
    PrecacheError,
    Refused,
    Stopped,
    Unavailable,
)
from precache.core.errors.unavailable import (
    BusUnavailable,
    ChangeUncertain,
    ComputeUnreachable,
    DatabaseDamaged,
    IdentityServiceUnavailable,
    ImageServiceUnavailable,
    InventoryUnavailable,
    ServiceTokenUnavailable,
    StoreUnavailable,
    TransferInterrupted,
)

__all__ = [
    "AggregateHasHosts",
    "AggregateHostNotFound",
    "AggregateHostTaken",
    "AggregateMetadataNotFound",
    "AggregateNameTaken",
    "AggregateNotFound",
    "BusUnavailable",
    "CacheFull",
    "CacheUnusable",
    "CachingUnsupported",
    "CellHasHosts",
    "CellHostsInAggregates",
    "CellNameTaken",
    "CellNotFound",
    "ChangeUncertain",
    "ComputeOutdated",
    "ComputeUnreachable",
    "Conflict",
    "ConversionFailed",
    "Corrupt",
    "DatabaseDamaged",
    "DatabaseUrlRefused",
    "DigestMismatch",
    "DiskExists",
    "DiskFilledUp",
    "DiskRefused",
    "DiskTooSmall",
    "DiskUnreadable",
    "HostInAggregates",
    "HostNotFound",
    "HostStillHeard",
    "IdentityServiceUnavailable",
    "IllegalTransition",
    "ImageFormatUnsupported",
    "ImageNotActive",
    "ImageNotAuthorized",
    "ImageNotCached",
    "ImageNotFound",
    "ImageServiceUnavailable",
    "ImageTooLong",
    "InvalidConfiguration",
    "InvalidDigest",
    "InvalidImageId",
    "InvariantBroken",
    "InventoryForeign",
    "InventoryUnavailable",
    "JobExists",
    "JobNotFound",
    "LeaseLost",
    "NoImageData",
    "NotEnoughSpace",
    "NotFound",
    "PrecacheError",
    "Refused",
    "SchemaHalfDone",
    "SchemaOutdated",
    "SchemaTooNew",
    "SchemaUnmarked",
    "SecretUnreadable",
    "ServiceTokenUnavailable",
    "Stopped",
    "StoreUnavailable",
    "TaskNotFound",
    "TransferInterrupted",
    "Unavailable",
    "UnsafeImage",
]
