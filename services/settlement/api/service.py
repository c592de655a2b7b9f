"""Settlement as operators and other services call it: message to command to reply."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import grpc

from hefu.settlement.v1 import events_pb2 as events
from hefu.settlement.v1 import settlement_pb2 as pb
from hefu.settlement.v1 import settlement_pb2_grpc
from libs.auth import current_caller
from libs.decider import Cause, FieldViolation, Rejected
from libs.event_store import StoredEvent
from libs.grpc_edge import time_left_s
from libs.grpc_errors import Refused
from libs.grpc_server import Binding, Policy
from libs.ids import is_uuid7
from libs.money import CurrencyUnknown, exponent
from libs.read_model import Database
from libs.signing import is_usable, key_id_of
from libs.wire import money_from_wire
from services.settlement import queries
from services.settlement.aggregates import Aggregates
from services.settlement.api import views
from services.settlement.api.views import Paging
from services.settlement.clients.accounts import Accounts
from services.settlement.cutting_off import settlement_id_of
from services.settlement.domain import bank_transfer, cut_off, partner
from services.settlement.high_water import NotedStore, OwnRows
from services.settlement.reactions import pull_id_of
from services.settlement.references import uetr_text

SERVICE = "hefu.settlement.v1.SettlementService"
_OPERATOR = frozenset({"operator"})
POLICY: Policy = {
    **{
        f"SettlementService/{method}": _OPERATOR
        for method in (
            "RegisterPartner",
            "ListPartners",
            "CutOff",
            "GetSettlement",
            "ListSettlements",
            "WatchSettlements",
            "ListLegs",
            "ListBankMessages",
            "GetTieOut",
            "ListBreaks",
        )
    },
    "SettlementService/PullFunds": frozenset({"service:payments"}),
}
# Work that a request starts goes on without it; so long the answer waits for it.
PATIENCE_S = 20.0
_MARGIN_S = 0.5
_LOOK_EVERY_S = 0.02
EXPLAINED_MAX = 100


@dataclass(frozen=True, slots=True)
class Wakes:
    """Processes to look at."""

    partner: Callable[[str], None]
    cut_off: Callable[[str], None]


class SettlementApi(settlement_pb2_grpc.SettlementServiceServicer):
    """Handlers validate, append and answer; the work is driven by what was stored."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the answers are made of
        self,
        aggregates: Aggregates,
        accounts: Accounts,
        database: Database,
        store: NotedStore,
        rows: OwnRows,
        waits: dict[str, str],
        wakes: Wakes,
    ) -> None:
        self._aggregates = aggregates
        self._accounts = accounts
        self._database = database
        self._store = store
        self._rows = rows
        self._waits = waits
        self._wakes = wakes

    def binding(self) -> Binding:
        """How it is added to a server."""
        add = settlement_pb2_grpc.add_SettlementServiceServicer_to_server
        return Binding(add, self, SERVICE)

    async def RegisterPartner(
        self,
        request: pb.RegisterPartnerRequest,
        _: "grpc.aio.ServicerContext[pb.RegisterPartnerRequest, pb.RegisterPartnerResponse]",
    ) -> pb.RegisterPartnerResponse:
        terms = _partner_terms(request.partner)
        bank_id = terms.bank_id
        cause = Cause(f"{bank_id}/register", bank_id, actor=current_caller().name)
        await self._aggregates.partners.transact(bank_id, partner.Register(terms), cause)
        self._wakes.partner(bank_id)

        async def is_open() -> bool:
            state = (await self._aggregates.partners.load(bank_id)).state
            return isinstance(state, partner.Open)

        await _until(is_open)
        await self._rows.reached()
        found = await self._database.read(views.partners)
        (mine,) = [each for each in found if each.bank_id == bank_id]
        return pb.RegisterPartnerResponse(partner=mine, position=self._store.position)

    async def ListPartners(
        self,
        request: pb.ListPartnersRequest,
        _: "grpc.aio.ServicerContext[pb.ListPartnersRequest, pb.ListPartnersResponse]",
    ) -> pb.ListPartnersResponse:
        await self._rows.reached(request.min_position)
        found = await self._database.read(views.partners)
        return pb.ListPartnersResponse(partners=found, position=self._rows.position)

    async def PullFunds(
        self,
        request: pb.PullFundsRequest,
        _: "grpc.aio.ServicerContext[pb.PullFundsRequest, pb.PullFundsResponse]",
    ) -> pb.PullFundsResponse:
        results = await asyncio.gather(*(self._pull(pull) for pull in request.pulls))
        return pb.PullFundsResponse(results=results, position=self._store.position)

    async def _pull(self, pull: pb.Pull) -> pb.PullResult:
        transfer_id = ""
        try:
            transfer_id = pull_id_of(_uuid7(pull.payment_id, "payment_id"))
            terms = await self._pull_terms(pull, transfer_id)
            cause = Cause(f"{transfer_id}/intend", pull.payment_id, actor=current_caller().name)
            done = await self._aggregates.transfers.transact(
                transfer_id, bank_transfer.Intend(terms), cause, is_new=True
            )
        except (Rejected, Refused) as error:
            reason = error.reason if isinstance(error, Refused) else error.reason.name
            fields = "; ".join(f"{v.field}: {v.description}" for v in error.violations)
            text = ": ".join(part for part in (error.description, fields) if part)
            return pb.PullResult(
                payment_id=pull.payment_id,
                transfer_id=transfer_id,
                refusal_reason=reason,
                refusal_description=text,
            )
        return pb.PullResult(
            payment_id=pull.payment_id, transfer_id=transfer_id, is_replayed=not done.events
        )

    async def _pull_terms(self, pull: pb.Pull, transfer_id: str) -> bank_transfer.Intended:
        bank = (await self._aggregates.partner_of(pull.bank_id)).terms
        amount = money_from_wire(pull.amount)
        if amount.minor <= 0:
            raise Refused(
                "AMOUNT_NOT_POSITIVE", "", [FieldViolation("amount", "must be more than 0")]
            )
        if amount.currency != bank.currency_code:
            violation = FieldViolation(
                "amount.currency_code", f"{pull.bank_id} keeps {bank.currency_code}"
            )
            raise Refused("CURRENCY_DIFFERS", "", [violation])
        item = bank_transfer.Item(
            pull.payment_id, uetr_text(pull.payment_id), amount, pull.bank_account
        )
        return bank_transfer.Intended(transfer_id, pull.bank_id, bank_transfer.Kind.PULL, (item,))

    async def CutOff(
        self,
        request: pb.CutOffRequest,
        _: "grpc.aio.ServicerContext[pb.CutOffRequest, pb.CutOffResponse]",
    ) -> pb.CutOffResponse:
        request_id = _uuid7(request.request_id, "request_id")
        asked = tuple(sorted(set(request.bank_ids)))
        known = (await self._aggregates.cut_offs.load(request_id)).state
        legs: dict[str, int] = {}
        windows: tuple[cut_off.WindowOfBank, ...] = ()
        if isinstance(known, cut_off.Absent):
            windows, legs = await self._open_windows(asked)
        terms = cut_off.Requested(request_id, windows, request.value_date)
        cause = Cause(f"{request_id}/request", request_id, actor=current_caller().name)
        await self._aggregates.cut_offs.transact(
            request_id, cut_off.Request(terms, asked), cause, is_new=True
        )
        self._wakes.cut_off(request_id)

        async def is_complete() -> bool:
            state = (await self._aggregates.cut_offs.load(request_id)).state
            return isinstance(state, cut_off.Closed)

        await _until(is_complete)
        found = await self._settlements_of(request_id, legs)
        return pb.CutOffResponse(settlements=found, position=self._store.position)

    async def _open_windows(
        self, asked: Sequence[str]
    ) -> tuple[tuple[cut_off.WindowOfBank, ...], dict[str, int]]:
        await self._rows.reached()
        bank_ids = list(asked) or await self._database.read(queries.bank_ids)
        partners = [(await self._aggregates.partner_of(bank_id)).terms for bank_id in bank_ids]
        found = await asyncio.gather(
            *(self._accounts.window_open_now(p.bank_id, p.currency_code) for p in partners)
        )
        windows = tuple(
            cut_off.WindowOfBank(bank_id, window.window_id)
            for bank_id, window in zip(bank_ids, found, strict=True)
        )
        return windows, {window.window_id: window.legs for window in found}

    async def _settlements_of(self, request_id: str, legs: dict[str, int]) -> list[pb.Settlement]:
        await self._rows.reached()
        state = (await self._aggregates.cut_offs.load(request_id)).state
        if isinstance(state, cut_off.Absent):
            return []
        found = []
        for window in state.terms.windows:
            settlement_id = settlement_id_of(window.window_id)
            row = await self._settlement(settlement_id)
            if row is not None:
                found.append(row)
            elif isinstance(state, cut_off.Sealing) and legs.get(window.window_id, 1):
                found.append(
                    pb.Settlement(
                        settlement_id=settlement_id,
                        bank_id=window.bank_id,
                        window_ids=[window.window_id],
                        waits_for="the seal of its window",
                    )
                )
        return found

    async def _settlement(self, settlement_id: str) -> pb.Settlement | None:
        return await self._database.read(lambda c: views.settlement(c, self._waits, settlement_id))

    async def GetSettlement(
        self,
        request: pb.GetSettlementRequest,
        _: "grpc.aio.ServicerContext[pb.GetSettlementRequest, pb.GetSettlementResponse]",
    ) -> pb.GetSettlementResponse:
        await self._rows.reached(request.min_position)
        found = await self._settlement(request.settlement_id)
        if found is None:
            raise Refused("SETTLEMENT_NOT_FOUND", f"no settlement {request.settlement_id}")
        return pb.GetSettlementResponse(settlement=found, position=self._rows.position)

    async def ListSettlements(
        self,
        request: pb.ListSettlementsRequest,
        _: "grpc.aio.ServicerContext[pb.ListSettlementsRequest, pb.ListSettlementsResponse]",
    ) -> pb.ListSettlementsResponse:
        await self._rows.reached(request.min_position)
        paging = Paging.of(request.page_size, request.page_token)
        found, token = await self._database.read(
            lambda c: views.settlements(c, self._waits, request.bank_id, paging)
        )
        return pb.ListSettlementsResponse(
            settlements=found, next_page_token=token, position=self._rows.position
        )

    async def WatchSettlements(
        self,
        request: pb.WatchSettlementsRequest,
        _: "grpc.aio.ServicerContext[pb.WatchSettlementsRequest, pb.WatchSettlementsResponse]",
    ) -> AsyncIterator[pb.WatchSettlementsResponse]:
        after = request.after_position or None
        async for stored in self._store.follow(("settlement-",), after):
            if not isinstance(stored, StoredEvent):
                continue
            await self._rows.reached(stored.position)
            found = await self._settlement(stored.stream.partition("-")[2])
            yield pb.WatchSettlementsResponse(
                settlement=found,
                event=stored.type.rpartition(".")[2],
                position=stored.position,
            )

    async def ListLegs(
        self,
        request: pb.ListLegsRequest,
        _: "grpc.aio.ServicerContext[pb.ListLegsRequest, pb.ListLegsResponse]",
    ) -> pb.ListLegsResponse:
        if not (request.settlement_id or request.window_id or request.payment_id):
            violation = FieldViolation("settlement_id", "name a settlement, a window or a payment")
            raise Refused("FIELD_REQUIRED", "which legs?", [violation])
        await self._rows.reached(request.min_position)
        paging = Paging.of(request.page_size, request.page_token)
        found, token = await self._database.read(lambda c: views.legs(c, request, paging))
        return pb.ListLegsResponse(legs=found, next_page_token=token, position=self._rows.position)

    async def ListBankMessages(
        self,
        request: pb.ListBankMessagesRequest,
        _: "grpc.aio.ServicerContext[pb.ListBankMessagesRequest, pb.ListBankMessagesResponse]",
    ) -> pb.ListBankMessagesResponse:
        await self._rows.reached(request.min_position)
        paging = Paging.of(request.page_size, request.page_token)
        found, token = await self._database.read(
            lambda c: views.messages(c, request.payment_id, request.bank_id, paging)
        )
        return pb.ListBankMessagesResponse(
            messages=found, next_page_token=token, position=self._rows.position
        )

    async def GetTieOut(
        self,
        request: pb.GetTieOutRequest,
        _: "grpc.aio.ServicerContext[pb.GetTieOutRequest, pb.GetTieOutResponse]",
    ) -> pb.GetTieOutResponse:
        await self._rows.reached(request.min_position)
        bank_ids = await self._database.read(queries.bank_ids)
        accounts = await asyncio.gather(*(self._tie_out(bank_id) for bank_id in bank_ids))
        found = [account for account in accounts if account is not None]
        return pb.GetTieOutResponse(accounts=found, position=self._rows.position)

    async def _tie_out(self, bank_id: str) -> pb.TieOut | None:
        bank = (await self._aggregates.partners.load(bank_id)).state
        if not isinstance(bank, partner.Open):
            return None
        mirror, page = await self._accounts.balance(bank.mirror_account_id)
        last = await self._database.read(lambda c: queries.last_statement(c, bank_id))
        closing = last.closing_minor if last else 0
        named: Sequence[str] = ()
        if last is None or mirror != closing:
            only = await self._database.read(lambda c: queries.only_ours(c, bank_id, page))
            named = only.payment_ids[:EXPLAINED_MAX]
        return pb.TieOut(
            bank_id=bank_id,
            currency_code=bank.terms.currency_code,
            account_number=bank.terms.account_number,
            mirror_minor=mirror,
            statement_minor=closing,
            difference_minor=mirror - closing,
            statement_id=last.statement_id if last else "",
            is_unproven=last is None,
            payment_ids=named,
        )

    async def ListBreaks(
        self,
        request: pb.ListBreaksRequest,
        _: "grpc.aio.ServicerContext[pb.ListBreaksRequest, pb.ListBreaksResponse]",
    ) -> pb.ListBreaksResponse:
        await self._rows.reached(request.min_position)
        paging = Paging.of(request.page_size, request.page_token)
        found, token = await self._database.read(lambda c: views.breaks(c, request.bank_id, paging))
        return pb.ListBreaksResponse(
            breaks=found, next_page_token=token, position=self._rows.position
        )


def _uuid7(text: str, field: str) -> str:
    if not is_uuid7(text):
        violation = FieldViolation(field, "must be a UUIDv7 in its canonical form")
        raise Refused("ID_MALFORMED", "", [violation])
    return str(UUID(text))


def _partner_terms(asked: pb.Partner) -> partner.Registered:
    violations = []
    try:
        exponent(asked.currency_code)
    except CurrencyUnknown as error:
        violations.append(FieldViolation("partner.currency_code", str(error)))
    if not is_usable(asked.public_key):
        violations.append(FieldViolation("partner.public_key", "is no Ed25519 key"))
    elif asked.key_id != key_id_of(asked.public_key):
        violations.append(FieldViolation("partner.key_id", "is not this key's"))
    if violations:
        raise Refused("FIELD_INVALID", "the partner cannot be registered so", violations)
    return partner.Registered(
        asked.bank_id,
        asked.legal_name,
        asked.address,
        asked.link_identity,
        asked.public_key,
        asked.key_id,
        asked.account_number,
        asked.currency_code,
        _capability(asked.capability),
    )


def _capability(asked: events.Capability) -> partner.Capability:
    after = tuple(asked.inquiry_after_s)
    if any(each <= 0 for each in after) or list(after) != sorted(set(after)):
        violation = FieldViolation("partner.capability.inquiry_after_s", "must rise from above 0")
        raise Refused("FIELD_INVALID", "", [violation])
    for name in ("batch_max", "credit_line_minor", "dedupe_horizon_s"):
        if getattr(asked, name) < 0:
            violation = FieldViolation(f"partner.capability.{name}", "must not be negative")
            raise Refused("FIELD_INVALID", "", [violation])
    return partner.Capability(
        after,
        tuple(asked.final_status),
        asked.refusal_is_final,
        asked.batch_max,
        asked.credit_line_minor,
        asked.dedupe_horizon_s,
    )


async def _until(is_so: Callable[[], Awaitable[bool]]) -> bool:
    """Wait for work that was woken, within the caller's deadline; it goes on in any case."""
    left_s = time_left_s()
    patience_s = PATIENCE_S if left_s is None else min(PATIENCE_S, left_s - _MARGIN_S)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + patience_s
    while not (done := await is_so()) and loop.time() < until_s:  # noqa: ASYNC110 - state is read, not told
        await asyncio.sleep(_LOOK_EVERY_S)
    return done
