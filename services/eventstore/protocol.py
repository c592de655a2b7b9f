"""The store's wire messages, taken from the client's package, and one service it leaves out."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from kurrentdbclient.protos.v1 import gossip_pb2 as gossip
from kurrentdbclient.protos.v1 import shared_pb2 as shared
from kurrentdbclient.protos.v1 import status_pb2 as status
from kurrentdbclient.protos.v1 import streams_pb2 as streams
from kurrentdbclient.protos.v2.streams import errors_pb2 as v2_errors
from kurrentdbclient.protos.v2.streams import streams_pb2 as v2

__all__ = ["SupportedMethods", "gossip", "shared", "status", "streams", "v2", "v2_errors"]

_FEATURES_PACKAGE = "event_store.client.server_features"


def _declare_server_features() -> None:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="services/eventstore/server_features.proto",
        package=_FEATURES_PACKAGE,
        syntax="proto3",
    )
    methods = file.message_type.add(name="SupportedMethods")
    methods.field.add(
        name="methods",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=f".{_FEATURES_PACKAGE}.SupportedMethod",
        label=field.LABEL_REPEATED,
    )
    _add_text(methods, "event_store_server_version", 2)
    method = file.message_type.add(name="SupportedMethod")
    _add_text(method, "method_name", 1)
    _add_text(method, "service_name", 2)
    method.field.add(name="features", number=3, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


def _add_text(message: descriptor_pb2.DescriptorProto, name: str, number: int) -> None:
    field = descriptor_pb2.FieldDescriptorProto
    message.field.add(name=name, number=number, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)


_declare_server_features()
SupportedMethods: Any = message_factory.GetMessageClass(
    descriptor_pool.Default().FindMessageTypeByName(f"{_FEATURES_PACKAGE}.SupportedMethods")
)
