"""What a sample bank serves, and to whom."""

from hefu.bank.v1 import bank_pb2_grpc
from hefu.samplebank.v1 import samplebank_pb2_grpc
from libs.grpc_server import Binding, Policy
from services.samplebank.api.day import SampleBankApi
from services.samplebank.api.desk import Desk
from services.samplebank.api.link import BankApi

_WALLET = frozenset({"service:settlement"})
_OPERATOR = frozenset({"operator"})

POLICY: Policy = {
    "BankService/SubmitMessage": _WALLET,
    "BankService/AdviseMovements": _WALLET,
    "BankService/ProposeSettlement": _WALLET,
    "BankService/GetNodes": _WALLET,
    "BankService/GetLeaves": _WALLET,
    "BankService/ConfirmFinal": _WALLET,
    "BankService/FetchStatements": _WALLET,
    "SampleBankService/EndDay": _OPERATOR,
    "SampleBankService/GetBooks": _OPERATOR,
}


def bindings(desk: Desk) -> list[Binding]:
    """The two services of a sample bank."""
    return [
        Binding(
            bank_pb2_grpc.add_BankServiceServicer_to_server,
            BankApi(desk),
            "hefu.bank.v1.BankService",
        ),
        Binding(
            samplebank_pb2_grpc.add_SampleBankServiceServicer_to_server,
            SampleBankApi(desk),
            "hefu.samplebank.v1.SampleBankService",
        ),
    ]
