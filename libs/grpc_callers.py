"""Who calls, found on the call itself: by its token, or by its certificate."""

from collections.abc import Callable
from typing import Any

from libs.auth import Caller, Unauthenticated, Verifier, caller_of_peer

_SAN = "x509_subject_alternative_name"
_BEARER = "Bearer "

# Raises `Unauthenticated`.
Identify = Callable[[Any], Caller]


def by_token(verifier: Verifier) -> Identify:
    """Callers by the bearer token in their metadata."""

    def identify(context: Any) -> Caller:  # noqa: ANN401 - grpc's contexts are typed by message
        found = [v for k, v in context.invocation_metadata() or () if k == "authorization"]
        if len(found) != 1 or not isinstance(found[0], str) or not found[0].startswith(_BEARER):
            raise Unauthenticated("one bearer token is needed")
        return verifier.verify(found[0][len(_BEARER) :])

    return identify


def by_certificate(context: Any) -> Caller:  # noqa: ANN401 - as above
    """Callers by the URI in their client certificate."""
    names = context.auth_context().get(_SAN, ())
    return caller_of_peer(tuple(name.decode("utf-8", "replace") for name in names))
