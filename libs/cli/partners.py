"""The sample banks as partners of settlement, and the business date that is played with them."""

from functools import partial
from pathlib import Path

from hefu.settlement.v1 import events_pb2 as settlement_events
from hefu.settlement.v1 import settlement_pb2 as settlement
from libs.cli.connections import Connections
from libs.client.calls import patiently
from libs.orders import load_banks
from libs.signing import key_id_of
from libs.supervisor import System

SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"
DATE_FILE = "business_date"
# How a sample bank behaves, told when it becomes a partner. Inquiries come sooner than
# with a real bank, because the whole day takes a minute.
_CAPABILITY = settlement_events.Capability(
    inquiry_after_s=[2, 5, 10, 20],
    final_status=["ACSC", "ACCC"],
    refusal_is_final=True,
    batch_max=250,
    credit_line_minor=10**12,
    dedupe_horizon_s=86_400,
)


async def register_partners(link: Connections, system: System) -> None:
    """Make each sample bank a partner; one that is known already stays as it is."""
    names = load_banks(SAMPLES / "banks.csv")
    for bank in system.banks:
        signing = system.run_dir / "identities" / bank.process / "signing.pub"
        public_key = bytes.fromhex(signing.read_text().strip())
        partner = settlement.Partner(
            bank_id=bank.bank_id,
            legal_name=names.get(bank.bank_id, f"Bank {bank.bank_id}"),
            address=bank.address,
            link_identity=f"hefu://bank/{bank.bank_id}",
            public_key=public_key,
            key_id=key_id_of(public_key),
            account_number=bank.account_number,
            currency_code=bank.currency,
            capability=_CAPABILITY,
        )
        request = settlement.RegisterPartnerRequest(partner=partner)
        await patiently(partial(link.settlement.RegisterPartner, request))
