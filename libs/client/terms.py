"""What a payment is asked to do, in one line: `payout(wallet, "CD", "123456789", amount)`."""

from uuid import UUID

from hefu.payments.v1 import events_pb2 as pb
from libs.money import Money
from libs.wire import money_to_wire


def top_up(
    wallet: UUID | str, bank_id: str, bank_account: str, amount: Money, note: str = ""
) -> pb.PaymentTerms:
    """Pull money from the customer's account at a bank into the wallet."""
    kind = pb.TopUp(wallet_account_id=str(wallet), bank_id=bank_id, bank_account=bank_account)
    return pb.PaymentTerms(amount=money_to_wire(amount), top_up=kind, note=note)


def payout(
    wallet: UUID | str,
    bank_id: str,
    bank_account: str,
    amount: Money,
    payee_name: str = "",
    note: str = "",
) -> pb.PaymentTerms:
    """Pay from the wallet to an account at a bank."""
    kind = pb.Payout(
        wallet_account_id=str(wallet),
        bank_id=bank_id,
        bank_account=bank_account,
        payee_name=payee_name,
    )
    return pb.PaymentTerms(amount=money_to_wire(amount), payout=kind, note=note)


def transfer(
    payer: UUID | str, payee: UUID | str, amount: Money, note: str = ""
) -> pb.PaymentTerms:
    """Pay from one wallet to another."""
    kind = pb.WalletTransfer(payer_account_id=str(payer), payee_account_id=str(payee))
    return pb.PaymentTerms(amount=money_to_wire(amount), transfer=kind, note=note)


def merchant_payment(
    payer: UUID | str, merchant: UUID | str, amount: Money, fee_minor: int = 0, note: str = ""
) -> pb.PaymentTerms:
    """Pay a merchant; `fee_minor` of the amount, in minor units, is our fee."""
    kind = pb.MerchantPayment(
        payer_account_id=str(payer), merchant_account_id=str(merchant), fee_minor=fee_minor
    )
    return pb.PaymentTerms(amount=money_to_wire(amount), merchant_payment=kind, note=note)
