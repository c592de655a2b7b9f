"""The journal's accounts of fund distribution, by name: the same ids in every process."""

from typing import Final

from services.funds.clients.accounts import Opening

# Places of a registrar's clearing accounts; they are part of the accounts' names for ever.
SUB, RED, DIV, FEE, FAST = range(5)
PURPOSES: Final = ("SUB", "RED", "DIV", "FEE", "FAST")


def clearing(ta_id: str, currency: str, purpose: int) -> Opening:
    """Fund clearing of one registrar: money on its way to it, or from it."""
    return Opening(f"ta:{ta_id}", "FUND_CLEARING", currency, purpose)


def clearing_id(ta_id: str, currency: str, purpose: int) -> str:
    """Its id."""
    return clearing(ta_id, currency, purpose).account_id


def advance(bank_id: str, currency: str) -> Opening:
    """What a bank has lent for fast redemptions."""
    return Opening(f"advance:{bank_id}", "ADVANCE", currency)


def short(ta_id: str, currency: str) -> Opening:
    """What we are short of with a registrar, until somebody makes it good."""
    return Opening(f"ta:{ta_id}", "SUSPENSE_SHORT", currency)


def fee_income(currency: str) -> Opening:
    """Our own fees."""
    return Opening("house", "FEE_INCOME", currency)


def of_registrar(ta_id: str, currency: str) -> list[Opening]:
    """All that must be there before the first order."""
    return [clearing(ta_id, currency, purpose) for purpose in range(len(PURPOSES))] + [
        fee_income(currency)
    ]
