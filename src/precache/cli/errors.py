"""The errors between the operator and the service; subclasses of the tree in `core/errors`.

Each message says in one sentence what failed, which object, and what to do. `exit_codes.py` has the exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence

from precache.core.errors import Conflict, NotFound, Refused, Unavailable


class UsageError(Refused):
    """The command line is wrong; nothing was sent."""


class RequestRefused(Refused):
    """The service refused the request; the message is the service's own."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Missing(NotFound):
    """The service has no object with this name or id. hint: where to look."""

    def __init__(self, kind: str, name: str, hint: str) -> None:
        super().__init__(f"No {kind} has the name or id {name!r}; {hint}")


class JobDeleted(NotFound):
    """The job was deleted while it was followed; the message is the service's own."""


class Ambiguous(Conflict):
    """Several objects have this name, so that an id is necessary."""

    def __init__(self, kind: str, name: str, ids: Sequence[str]) -> None:
        super().__init__(f"{len(ids)} {kind}s have the name {name!r}; give the id of one: {', '.join(ids)}")


class ServiceUnreachable(Unavailable):
    """No server answered at this address, or not in time."""


class AnswerTimeout(ServiceUnreachable):
    """The service did not answer in time; it may have received the request."""


class AnswerLost(ServiceUnreachable):
    """The connection was closed before the end of the answer; the service may have received the request."""


class RequestInterrupted(KeyboardInterrupt):
    """Ctrl-C while a request that changes something waited for its answer; the message says what may have happened."""


class NoImageService(NotFound):
    """The server at the address of the image service is not an image service."""

    def __init__(self, url: str) -> None:
        super().__init__(f"There is no image service at {url}; give its address with --image-url (PRECACHE_IMAGE_URL)")


class LoginRefused(Refused):
    """Keystone refuses the credentials."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"Keystone at {place} refuses the login: {reason}; check user, secret and project (OS_USERNAME ...)"
        )


class NoKeystone(Unavailable):
    """The server at OS_AUTH_URL does not answer as Keystone does."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"What answers at {place} is no Keystone: {reason}; correct OS_AUTH_URL (auth_url in clouds.yaml), which "
            "is one such as http://controller:5000/v3"
        )


class LoginWithoutProject(Refused):
    """Keystone issued a token without a project: it has no catalogue, so that no service can be found."""

    def __init__(self) -> None:
        super().__init__(
            "The login names no project, so that Keystone's catalogue is empty for it; set OS_PROJECT_NAME and "
            "OS_PROJECT_DOMAIN_NAME, or in clouds.yaml project_name and project_domain_name"
        )


class NoEndpoint(NotFound):
    """The catalogue has no address of the service. hint: how to set the address."""

    def __init__(self, service_type: str, where: str, hint: str) -> None:
        super().__init__(f"The catalogue has no service of the type {service_type!r} {where}; {hint}")


class ServiceFailed(Unavailable):
    """The service answered with a server error (5xx)."""

    def __init__(self, what: str, status: int, message: str, request_id: str | None) -> None:
        tail = f" (request id {request_id})" if request_id else ""
        super().__init__(f"The service failed: {what} answered {status}: {message}{tail}", "its log has the cause")
        self.status = status


class NotServedNow(Unavailable):
    """The service works, but cannot do this at present: a host is down, for example. The message is its own."""


class AnswerNotUnderstood(Unavailable):
    """The answer is not one of this service: the address may be wrong."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} gave an answer that is not understood: {reason}", "is the address right?")


class CommandUnavailable(Unavailable):
    """The command is registered but its code cannot be loaded here."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The command '{name}' cannot be loaded in this installation: {reason}")
