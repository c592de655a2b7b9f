"""Columns of read models: none is ever null, and a number is what it is told to be."""

from sqlalchemy import BigInteger, Boolean, Column, Text


def text(name: str, *, key: bool = False) -> Column[str]:
    """A text; empty where there is nothing to say."""
    return Column(name, Text, primary_key=key, nullable=False)


def count(name: str, *, key: bool = False) -> Column[int]:
    """A whole number: minor units, microseconds, a position. Never drawn from a sequence."""
    return Column(name, BigInteger, primary_key=key, autoincrement=False, nullable=False)


def flag(name: str) -> Column[bool]:
    """Whether something is so."""
    return Column(name, Boolean, nullable=False)
