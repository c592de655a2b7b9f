"""The link that registrars call: packages of files, handed in."""

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hefu.registrar.v1 import registrar_pb2 as pb
from hefu.registrar.v1 import registrar_pb2_grpc
from libs.auth import current_caller
from libs.grpc_errors import Refused
from libs.grpc_server import Binding
from services.funds.aggregates import Aggregates
from services.funds.clients.registrar import package_from_wire, receipts_to_wire
from services.funds.intake import Intake

if TYPE_CHECKING:
    import grpc

SERVICE: Final = "hefu.registrar.v1.RegistrarLinkService"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class RegistrarLinkApi(registrar_pb2_grpc.RegistrarLinkServiceServicer):
    """The caller is the registrar its certificate names; it speaks for nobody else."""

    def __init__(self, aggregates: Aggregates, intake: Intake, distributor: str) -> None:
        self._aggregates = aggregates
        self._intake = intake
        self._distributor = distributor

    def binding(self) -> Binding:
        add = registrar_pb2_grpc.add_RegistrarLinkServiceServicer_to_server
        return Binding(add, self, SERVICE)

    async def DeliverFiles(
        self, request: pb.DeliverFilesRequest, _context: "Context"
    ) -> pb.DeliverFilesResponse:
        ta_id = current_caller().name
        if request.package.registrar_id != ta_id:
            raise Refused("FOREIGN_REFERENCE", "the package is not this registrar's")
        known = (await self._aggregates.registrars.load(ta_id)).state
        if known is None:
            raise Refused("REGISTRAR_NOT_FOUND", f"no registrar {ta_id}")
        package = package_from_wire(request.package, ta_id, self._distributor)
        receipts = await self._intake.take(known.registrar, package)
        return pb.DeliverFilesResponse(receipts=receipts_to_wire(receipts))
