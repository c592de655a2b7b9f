from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.iso20022 import (
    CreditTransfers,
    Message,
    MessageInvalid,
    StatusReport,
    TransactionStatus,
    build,
    parse,
)
from libs.money import Money
from tests.libs.iso20022_samples import credit_transfers, items, messages


def changed(old: str, new: str, message: Message | None = None, *, times: int = 1) -> str:
    """The reason for which a message is refused after a change to its bytes."""
    message_type, body = build(message or credit_transfers())
    text = body.decode()
    assert old in text
    with pytest.raises(MessageInvalid) as caught:
        parse(message_type, text.replace(old, new, times).encode())
    return caught.value.reason


@pytest.mark.parametrize("message", messages(), ids=lambda message: type(message).__name__)
def test_what_is_built_reads_back_the_same(message: Message) -> None:
    assert parse(*build(message)) == message


@pytest.mark.parametrize("message", messages(), ids=lambda message: type(message).__name__)
def test_the_same_message_has_the_same_bytes(message: Message) -> None:
    assert build(message) == build(message)


@pytest.mark.parametrize("currency", ["JPY", "CZK", "KWD", "CLF"])
def test_amounts_have_the_decimals_of_their_currency(currency: str) -> None:
    assert parse(*build(credit_transfers(currency))) == credit_transfers(currency)


def test_a_name_is_written_in_the_characters_banks_take() -> None:
    first, *rest = items()
    named = replace(first, name="Jiří Ženíšek & <spol.> 王" + "x" * 100)
    read = parse(*build(replace(credit_transfers(), items=(named, *rest))))
    assert isinstance(read, CreditTransfers)
    assert read.items[0].name == ("Jiri Zenisek . .spol.. ." + "x" * 100)[:70]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message_id", ""),
        ("message_id", "a" * 36),
        ("message_id", "a<b"),
        ("message_id", "ž"),
        ("account_number", "lower"),
        ("account_number", "A" * 35),
        ("execution_date", "15.01.2030"),
        ("execution_date", "2030-02-30"),
        ("items", ()),
        ("created_ms", 10**18),
    ],
)
def test_a_field_that_does_not_fit_is_not_sent(field: str, value: object) -> None:
    with pytest.raises(MessageInvalid):
        build(replace(credit_transfers(), **{field: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize("minor", [0, -1, 10**18])
def test_an_amount_that_is_none_is_not_sent(minor: int) -> None:
    first = replace(items()[0], amount=Money("CZK", minor))
    with pytest.raises(MessageInvalid):
        build(replace(credit_transfers(), items=(first,)))


def test_a_message_too_large_for_a_bank_is_not_sent() -> None:
    first = items()[0]
    many = tuple(replace(first, uetr=UUID(int=n, version=4)) for n in range(1_000))
    with pytest.raises(MessageInvalid, match="XML_TOO_LARGE"):
        build(replace(credit_transfers(), items=many))


def test_items_of_two_currencies_are_not_sent() -> None:
    mixed = (items("CZK")[0], items("EUR")[1])
    with pytest.raises(MessageInvalid, match="CURRENCY_MIXED"):
        build(replace(credit_transfers(), items=mixed))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<NbOfTxs>3<", "<NbOfTxs>4<", "COUNT_DIFFERS"),
        ("<CtrlSum>1.11<", "<CtrlSum>1.12<", "SUM_DIFFERS"),
        ("<CtrlSum>1.11<", "<CtrlSum>1.110001<", "AMOUNT_INVALID"),
        ('Ccy="CZK">0.01<', 'Ccy="CZK">0.02<', "SUM_DIFFERS"),
        ('Ccy="CZK">0.01<', 'Ccy="EUR">0.01<', "CURRENCY_MIXED"),
        ('Ccy="CZK">0.01<', 'Ccy="CZK">0.010<', "CURRENCY_SCALE"),
        ('Ccy="CZK">0.01<', 'Ccy="ZZZ">0.01<', "CURRENCY_UNKNOWN"),
        ('Ccy="CZK">0.01<', 'Ccy="XAU">0.01<', "CURRENCY_UNKNOWN"),
        ('Ccy="CZK">0.01<', 'Ccy="CZK">0.00<', "AMOUNT_INVALID"),
        (str(items()[0].uetr), str(items()[1].uetr), "REFERENCE_REPEATED"),
        (str(items()[0].uetr), str(items()[0].uetr).upper(), "XML_SCHEMA"),
        ("<PmtMtd>TRF<", "<PmtMtd>CHK<", "FIELD_INVALID"),
        ("<PmtMtd>TRF<", "<PmtMtd>XXX<", "XML_SCHEMA"),
        ("<EndToEndId>", "<EndToEndId>\u200b", "FIELD_INVALID"),
        ("<Nm>Jan Zeman<", "<Nm>Jan \u202ezeman<", "FIELD_INVALID"),
        ("<Id>ACCT1<", "<Id>../..<", "FIELD_INVALID"),
        ("<Id>ACCT1<", "<Id><", "XML_SCHEMA"),
        ("CstmrCdtTrfInitn", "CstmrDrctDbtInitn", "XML_MALFORMED"),
        ("<MsgId>", "<MsgId>" + "x" * 36, "XML_SCHEMA"),
        ("<PmtInf>", "<PmtInf><Evil/>", "XML_SCHEMA"),
        ("<GrpHdr>", "text<GrpHdr>", "XML_SCHEMA"),
        ("<CreDtTm>2030-01-15T", "<CreDtTm>2030-13-15T", "XML_SCHEMA"),
        ("<CreDtTm>2030-01-15T00", "<CreDtTm>2030-01-15T24", "XML_SCHEMA"),
        ("pain.001.001.09", "pain.001.001.03", "XML_NAMESPACE"),
    ],
)
def test_a_message_that_does_not_hold_together_is_refused_by_name(
    old: str, new: str, reason: str
) -> None:
    assert changed(old, new) == reason


def test_the_sums_of_group_and_batch_are_both_checked() -> None:
    assert changed("<CtrlSum>1.11<", "<CtrlSum>9.99<") == "SUM_DIFFERS"
    body = build(credit_transfers())[1].decode()
    second = body.rindex("<CtrlSum>1.11<")
    broken = body[:second] + body[second:].replace("1.11", "9.99", 1)
    with pytest.raises(MessageInvalid, match="SUM_DIFFERS"):
        parse("pain.001.001.09", broken.encode())


@pytest.mark.parametrize(
    "amount",
    [
        "",
        " ",
        " 5",
        "5 ",
        "+5",
        "-5",
        "1e2",
        "1E2",
        "1,5",
        "1_000",
        "\uff11\uff12",
        "٣",
        ".5",
        "5.",
        "0x10",
        "NaN",
        "INF",
        "Infinity",
        "1.000001",
        "1.2.3",
        "1 000",
        "1\n",
        "\t1",
        "1000000000000000000000",
        "1234567890123456789",
        "99999999999999999.99999",
        "<x/>5",
        "5<x/>",
        "1<!-- x -->00",
        "<![CDATA[5]]>",
        "1<?x?>00",
        "&amp;5",
        "&#53;&#x200b;",
        "1\u202e",
        "五",
        "½",
        "--5",
        "5-",
        "0b1",
        "5d",
        "5f",
        "5L",
        "(5)",
        "5%",
        "$5",
        "5 CZK",
        "null",
        "true",
        "1'000",
        "1\u00a0000",
        "1\u2009000",
        "²",
        "\u2164",
        "5\u0301",
        "\ufeff5",
        "\u22125",
    ],
)
def test_only_plain_decimals_are_amounts(amount: str) -> None:
    one = replace(credit_transfers(), items=items()[:1])
    message_type, body = build(one)
    tricked = body.decode().replace('"CZK">0.01<', f'"CZK">{amount}<')
    with pytest.raises(MessageInvalid):
        parse(message_type, tricked.encode())


def test_a_character_reference_to_a_digit_is_that_digit() -> None:
    message_type, body = build(credit_transfers())
    same = body.decode().replace('"CZK">0.01<', '"CZK">0.0&#49;<')
    assert parse(message_type, same.encode()) == credit_transfers()


@given(st.integers(min_value=1, max_value=10**17 - 1), st.sampled_from(["JPY", "CZK", "KWD"]))
def test_every_amount_reads_back_exactly(minor: int, currency: str) -> None:
    one = replace(credit_transfers(), items=(replace(items()[0], amount=Money(currency, minor)),))
    assert parse(*build(one)) == one


def test_a_status_that_nobody_knows_is_passed_on() -> None:
    report = StatusReport(
        "m", 1, "o", "pain.001.001.09", transactions=(TransactionStatus(None, "", "ZZZZ"),)
    )
    read = parse(*build(report))
    assert isinstance(read, StatusReport)
    assert read.transactions[0].status == "ZZZZ"
    assert read.original_batch_id == "o"


def test_statement_summaries_that_contradict_themselves_are_refused() -> None:
    page = messages()[6]
    assert changed("<NbOfNtries>3<", "<NbOfNtries>4<", page) == "SUM_DIFFERS"
    assert changed("<Sum>700.06<", "<Sum>700.07<", page) == "SUM_DIFFERS"
    assert changed("<Cd>OPBD<", "<Cd>CLBD<", page) == "FIELD_MISSING"
    assert changed("<PgNb>2<", "<PgNb>0<", page) == "FIELD_INVALID"
    assert changed('Ccy="CZK">700.00<', 'Ccy="EUR">700.00<', page) == "CURRENCY_MIXED"


def test_a_type_the_link_does_not_speak_is_refused() -> None:
    for message_type in ("pain.001.001.03", "camt.052.001.08", "", "../etc/passwd"):
        with pytest.raises(MessageInvalid, match="TYPE_UNKNOWN"):
            parse(message_type, b"<Document/>")


@pytest.mark.parametrize("message", messages(), ids=lambda message: type(message).__name__)
def test_no_cut_message_passes(message: Message) -> None:
    message_type, body = build(message)
    for end in range(0, len(body) - 1, 97):
        with pytest.raises(MessageInvalid):
            parse(message_type, body[:end])


@given(st.binary(max_size=300))
def test_random_bytes_are_no_message(body: bytes) -> None:
    with pytest.raises(MessageInvalid):
        parse("pain.002.001.10", body)


@given(st.data())
def test_a_message_with_one_wrong_byte_reads_as_something_or_is_refused(
    data: st.DataObject,
) -> None:
    message_type, body = build(messages()[2])
    place = data.draw(st.integers(0, len(body) - 1))
    broken = body[:place] + bytes([data.draw(st.integers(0, 255))]) + body[place + 1 :]
    with suppress(MessageInvalid):
        assert isinstance(parse(message_type, broken), StatusReport)
