"""Messages of the call that lasts: each a bulk call of commands, with its number and its time."""

from dataclasses import dataclass
from typing import Final

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.grpc_edge import fault_of
from libs.grpc_errors import VIOLATIONS_MAX, Refused
from libs.grpc_lasting import Asked
from libs.wire_bytes import BYTES, number, varint

_MILLIS: Final = 1_000
# Tags of an answer: its number, and the response in it.
_NUMBER, _ANSWERED = "\x08", "\x12"
# As the proto has them.
_TRACEPARENT_MAX, _TRACESTATE_MAX = 80, 512


@dataclass(frozen=True, slots=True)
class Continuous:
    """`PostCommandsContinuously`: each message stands for a `PostCommands`."""

    method: str = "PostCommands"

    def asked(self, raw: bytes) -> Asked:
        message = pb.PostCommandsContinuouslyRequest.FromString(raw)
        headers = {}
        if message.traceparent:
            headers = {"traceparent": message.traceparent, "tracestate": message.tracestate}
        return Asked(
            message.number,
            message.timeout_ms / _MILLIS,
            headers,
            message.post_commands_request,
            None if _is_well_formed(message) else fault_of(message),
        )

    def answered(self, number_: int, response: bytes) -> bytes:
        # By hand: the response is in bytes already.
        before = f"{number(_NUMBER, number_)}{_ANSWERED}{varint(len(response))}"
        return before.encode(BYTES) + response

    def refused(self, number_: int, refused: Refused) -> bytes:
        return pb.PostCommandsContinuouslyResponse(
            number=number_,
            refused=pb.MessageRefusal(
                reason=refused.reason,
                description=refused.description,
                violations=[
                    pb.Refusal(field=each.field, description=each.description)
                    for each in refused.violations[:VIOLATIONS_MAX]
                ],
            ),
        ).SerializeToString()


def _is_well_formed(message: pb.PostCommandsContinuouslyRequest) -> bool:
    """Whether no rule of the proto has anything to say: to ask them takes a tenth of a call."""
    return (
        message.number > 0
        and message.timeout_ms > 0
        and len(message.traceparent) <= _TRACEPARENT_MAX
        and len(message.tracestate) <= _TRACESTATE_MAX
    )
