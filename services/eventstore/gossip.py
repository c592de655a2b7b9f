"""What the server says of itself: one member that leads, and the calls it knows."""

import time
import uuid
from typing import Any, Final

import grpc

from services.eventstore.protocol import SupportedMethods, gossip, shared

SERVER_VERSION: Final = "26.1.0"
_STREAMS = "event_store.client.streams.streams"
_FEATURES: Final = {
    (_STREAMS, "read"): ("position", "events"),
    (_STREAMS, "append"): (),
    (_STREAMS, "batchappend"): ("deadline_duration",),
    (_STREAMS, "delete"): (),
    (_STREAMS, "tombstone"): (),
    ("event_store.client.gossip.gossip", "read"): (),
    ("event_store.client.server_features.serverfeatures", "getsupportedmethods"): (),
    ("kurrentdb.protocol.v2.streams.streamsservice", "appendsession"): (),
    ("kurrentdb.protocol.v2.streams.streamsservice", "appendrecords"): (),
}


class Gossip:
    """Answers discovery."""

    def __init__(self, store_id: str, host: str, port: int) -> None:
        self._instance = str(uuid.UUID(store_id))
        self._host = host
        self._port = port

    async def read(
        self,
        _request: shared.Empty,
        _context: "grpc.aio.ServicerContext[shared.Empty, gossip.ClusterInfo]",
    ) -> gossip.ClusterInfo:
        """One member, alive and leading."""
        return gossip.ClusterInfo(
            members=[
                gossip.MemberInfo(
                    instance_id=shared.UUID(string=self._instance),
                    time_stamp=time.time_ns() // 100,
                    state=gossip.MemberInfo.Leader,
                    is_alive=True,
                    http_end_point=gossip.EndPoint(address=self._host, port=self._port),
                )
            ]
        )


async def supported_methods(
    _request: shared.Empty, _context: "grpc.aio.ServicerContext[shared.Empty, Any]"
) -> Any:  # noqa: ANN401 - the message is declared at run time
    """The calls that are served, with their features, and the version they follow."""
    answer = SupportedMethods(event_store_server_version=SERVER_VERSION)
    for (service, method), features in _FEATURES.items():
        answer.methods.add(service_name=service, method_name=method, features=features)
    return answer
