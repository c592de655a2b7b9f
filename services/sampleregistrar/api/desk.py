"""What the registrar's servers work with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import grpc

from libs.clock import Clock
from libs.messenger import Bell
from libs.read_model import Database
from services.sampleregistrar.correcting import CorrectionDesk
from services.sampleregistrar.day import DayDesk
from services.sampleregistrar.intake import Intake
from services.sampleregistrar.issuing import Issuer

if TYPE_CHECKING:
    Context: TypeAlias = grpc.aio.ServicerContext[object, object]
else:
    Context = grpc.aio.ServicerContext  # takes no parameters at run time


@dataclass(frozen=True, slots=True)
class Desk:
    """Books, counters, and the clock."""

    registrar_id: str
    distributor: str
    database: Database
    intake: Intake
    days: DayDesk
    corrections: CorrectionDesk
    issuer: Issuer
    clock: Clock
    bell: Bell

    @property
    def now_ms(self) -> int:
        return self.clock() // 1_000
