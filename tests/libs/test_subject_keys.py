"""What is sealed is read with its subject's key alone, and by nobody once that is gone."""

from collections.abc import AsyncIterator

import pytest

from libs.read_model import Database
from libs.subject_keys import KeyDestroyed, SealBroken, SubjectKeys


@pytest.fixture
async def keys() -> AsyncIterator[SubjectKeys]:
    database = Database.open("sqlite://")
    found = SubjectKeys(database)
    await found.prepare()
    yield found
    database.close()


async def test_what_is_sealed_is_opened_for_the_same_subject_only(keys: SubjectKeys) -> None:
    sealed = await keys.seal("anna", b"answers")

    assert b"answers" not in sealed
    assert await keys.open("anna", sealed) == b"answers"
    with pytest.raises(SealBroken):
        await keys.open("otto", sealed)


async def test_a_changed_byte_is_seen(keys: SubjectKeys) -> None:
    sealed = bytearray(await keys.seal("anna", b"answers"))
    sealed[-1] ^= 1

    with pytest.raises(SealBroken):
        await keys.open("anna", bytes(sealed))
    with pytest.raises(SealBroken):
        await keys.open("anna", b"\x02" + bytes(sealed[1:]))


async def test_two_seals_of_the_same_differ_and_their_digests_do_not(keys: SubjectKeys) -> None:
    assert await keys.seal("anna", b"x") != await keys.seal("anna", b"x")
    assert await keys.digest("anna", b"x") == await keys.digest("anna", b"x")
    assert await keys.digest("anna", b"x") != await keys.digest("otto", b"x")


async def test_a_destroyed_key_never_comes_back(keys: SubjectKeys) -> None:
    sealed = await keys.seal("anna", b"answers")

    await keys.destroy("anna")
    await keys.destroy("anna")

    for call in (keys.open("anna", sealed), keys.seal("anna", b"x"), keys.digest("anna", b"x")):
        with pytest.raises(KeyDestroyed):
            await call
