"""What a sample registrar serves, and to whom."""

from hefu.registrar.v1 import registrar_pb2_grpc, sample_registrar_pb2_grpc
from libs.grpc_server import Binding, Policy
from services.sampleregistrar.api.demo import SampleRegistrarApi
from services.sampleregistrar.api.desk import Desk
from services.sampleregistrar.api.link import RegistrarApi

_DISTRIBUTOR = frozenset({"service:funds"})
_OPERATOR = frozenset({"operator"})

POLICY: Policy = {
    "RegistrarService/SubmitFiles": _DISTRIBUTOR,
    "RegistrarService/GetReceipt": _DISTRIBUTOR,
    "RegistrarService/FetchFiles": _DISTRIBUTOR,
    "SampleRegistrarService/PutFunds": _OPERATOR,
    "SampleRegistrarService/PlanFaults": _OPERATOR,
    "SampleRegistrarService/RunDay": _OPERATOR,
    "SampleRegistrarService/CorrectPrice": _OPERATOR,
    "SampleRegistrarService/CorrectRows": _OPERATOR,
    "SampleRegistrarService/ReleaseFiles": _OPERATOR,
    "SampleRegistrarService/GetBooks": _OPERATOR,
    "SampleRegistrarService/ListShares": _OPERATOR,
}


def bindings(desk: Desk) -> list[Binding]:
    """The two services of a sample registrar."""
    return [
        Binding(
            registrar_pb2_grpc.add_RegistrarServiceServicer_to_server,
            RegistrarApi(desk),
            "hefu.registrar.v1.RegistrarService",
        ),
        Binding(
            sample_registrar_pb2_grpc.add_SampleRegistrarServiceServicer_to_server,
            SampleRegistrarApi(desk),
            "hefu.registrar.v1.SampleRegistrarService",
        ),
    ]
