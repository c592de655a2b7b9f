"""What the bank's servers work with: books, behaviour, keys and the clock."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import grpc

from hefu.bank.v1 import bank_pb2 as pb
from libs.clock import Clock
from libs.grpc_errors import Refused
from libs.messenger import Bell
from libs.read_model import Database
from libs.signing import Signer, key_id_of, message_payload, verify
from services.samplebank.settlements import Ledger
from services.samplebank.statements import DayBook
from services.samplebank.submissions import Bank

if TYPE_CHECKING:
    Context: TypeAlias = grpc.aio.ServicerContext[object, object]
else:
    Context = grpc.aio.ServicerContext  # takes no parameters at run time


@dataclass(frozen=True, slots=True)
class Desk:
    """What the bank works with."""

    database: Database
    bank: Bank
    ledger: Ledger
    day_book: DayBook
    signer: Signer
    wallet_key: bytes
    clock: Clock
    bell: Bell

    @property
    def now_ms(self) -> int:
        return self.clock() // 1_000

    def signed(self, message_type: str, body: bytes) -> pb.IsoMessage:
        """A message with the bank's signature."""
        signature = self.signer.sign(message_payload(message_type, body))
        return pb.IsoMessage(
            message_type=message_type, body=body, signature=signature, key_id=self.signer.key_id
        )

    def check(self, key_id: str, signature: bytes, payload: bytes) -> None:
        """Raises `Refused` unless the wallet signed the payload."""
        if key_id != key_id_of(self.wallet_key):
            raise Refused("KEY_UNKNOWN", "this is not the wallet's key")
        if not verify(self.wallet_key, signature, payload):
            raise Refused("SIGNATURE_INVALID", "the signature is not over this")
