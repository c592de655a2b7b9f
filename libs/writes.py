"""What a projection writes: whole rows, changed columns, rows erased; in few statements."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    BinaryExpression,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

_SHAPES_KEPT = 512
# Rows that SQLite is given in one statement.
ROWS_AT_ONCE = 100
# Types whose values go to every database as they are.
_PLAIN_TYPES = frozenset({BigInteger, Boolean, Integer, LargeBinary, String, Text})


@dataclass(frozen=True, slots=True)
class Put:
    """A whole row, put in the place of the one with its primary key; columns not named are null."""

    table: Table
    row: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PutRows:
    """Whole rows, each as by `Put`: all values in the order of the table's columns."""

    table: Table
    rows: Sequence[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Added:
    """In a patch: the column's value and so much more. As `table.c.n + 1`, and cheaper to say."""

    amount: int


@dataclass(frozen=True, slots=True)
class Patch:
    """Columns changed where the key matches. A value may be an expression on the same row.

    `Added(1)`, `table.c.n + 1` and `table.c.n - 1` join with others of their kind; other
    expressions do not.
    """

    table: Table
    key: Mapping[str, object]
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PatchRows:
    """Columns changed in many rows: each has the values of `names`, then the row's primary key."""

    table: Table
    names: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Erase:
    """The rows where the key matches, gone."""

    table: Table
    key: Mapping[str, object]


Write: TypeAlias = Put | PutRows | Patch | PatchRows | Erase


@dataclass(frozen=True, slots=True)
class _Change:
    """A value added to a column of the row: `left + amount`."""

    left: str
    combine: Callable[[Any, Any], Any]


# How a column is set: by a value, or by a change of a column.
_Setting: TypeAlias = tuple[str, _Change | None]


@dataclass(frozen=True, slots=True, eq=False)
class _PutShape:
    """One a table: see `_put_shape`. Its rows are tuples, in the order of the columns."""

    table: Table

    def statement(self, dialect: str) -> Executable:
        return _put_statement(self.table, dialect)


@dataclass(frozen=True, slots=True)
class _PatchShape:
    table: Table
    key: tuple[str, ...]
    settings: tuple[_Setting, ...]

    def statement(self, _dialect: str) -> Executable:
        return _patch_statement(self.table, self.key, self.settings)


@dataclass(frozen=True, slots=True, eq=False)
class _PatchRowsShape:
    """One a table and columns: see `_patch_rows_shape`. Its rows are tuples, as in `PatchRows`."""

    table: Table
    names: tuple[str, ...]

    def statement(self, _dialect: str) -> Executable:
        settings = tuple((name, None) for name in self.names)
        return _patch_statement(self.table, _primary(self.table), settings)


@dataclass(frozen=True, slots=True)
class _EraseShape:
    table: Table
    key: tuple[str, ...]

    def statement(self, _dialect: str) -> Executable:
        return delete(self.table).where(_matches(self.table, self.key))


@dataclass(frozen=True, slots=True, eq=False)
class _AloneShape:
    """A patch with an expression of its own: equal to no other."""

    table: Table
    made: Executable

    def statement(self, _dialect: str) -> Executable:
        return self.made


_Shape: TypeAlias = _PutShape | _PatchShape | _PatchRowsShape | _EraseShape | _AloneShape


@dataclass(slots=True)
class _Plan:
    """Statements in order. Writes to different rows commute: a later one may join an earlier."""

    batches: list[tuple[_Shape, list[Any]]] = field(default_factory=list)
    newest: dict[_Shape, int] = field(default_factory=dict)
    row_last: dict[tuple[Table, tuple[object, ...]], int] = field(default_factory=dict)
    table_last: dict[Table, int] = field(default_factory=dict)
    table_floor: dict[Table, int] = field(default_factory=dict)
    # Tables that were given whole rows only, and their one statement: nothing need be kept in mind.
    puts: dict[Table, int] = field(default_factory=dict)
    # Of a batch that sets columns of rows: each row's newest values.
    set_by: dict[int, dict[tuple[object, ...], tuple[object, ...]]] = field(default_factory=dict)

    def add(self, write: Write) -> None:
        table = write.table
        if isinstance(write, PutRows):
            if write.rows:
                self._add_rows(table, write.rows)
            return
        if isinstance(write, PatchRows):
            self._patch_rows(write)
            return
        if not isinstance(write, Put):
            self._keep_in_mind(table)
        elif table in self.puts or table not in self.table_last:
            self._put(write)
            return
        shape, parameters = _shaped(write)
        self._place(table, shape, _row_of(write), parameters)

    def _place(
        self, table: Table, shape: _Shape, row: tuple[object, ...] | None, parameters: object
    ) -> None:
        index = self._index_for(table, shape, row)
        self.batches[index][1].append(parameters)

    def _index_for(self, table: Table, shape: _Shape, row: tuple[object, ...] | None) -> int:
        """The first batch of the shape that comes after all that this write must come after."""
        if row is None:  # touches rows not named: after all before it, before all after it
            least = self.table_last.get(table, -1)
        else:
            least = max(self.row_last.get((table, row), -1), self.table_floor.get(table, -1))
        index = self.newest.get(shape, -1)
        if index < max(least, 0):
            index = len(self.batches)
            self.batches.append((shape, []))
            self.newest[shape] = index
        self.table_last[table] = max(self.table_last.get(table, -1), index)
        if row is None:
            self.table_floor[table] = index
        else:
            self.row_last[table, row] = index
        return index

    def _add_rows(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        if table in self.puts or table not in self.table_last:
            self._rows_of(_put_shape(table)).extend(rows)
            return
        for row in rows:
            self.add(Put(table, dict(zip(_names(table), row, strict=True))))

    def _patch_rows(self, write: PatchRows) -> None:
        if write.rows:
            self._keep_in_mind(write.table)
        shape, key_at = _patch_rows_shape(write.table, write.names), len(write.names)
        for row in write.rows:
            key = row[key_at:]
            index = self._index_for(write.table, shape, key)
            # What is set twice in one batch, the same columns of the same row, is set once.
            self.set_by.setdefault(index, {})[key] = row

    def _put(self, write: Put) -> None:
        _, parameters = _shaped(write)
        self._rows_of(_put_shape(write.table)).append(parameters)

    def _rows_of(self, shape: _PutShape) -> list[Any]:
        """What is put into a table that is given whole rows only."""
        table = shape.table
        index = self.puts.get(table)
        if index is None:
            index = self.puts[table] = len(self.batches)
            self.batches.append((shape, []))
        return self.batches[index][1]

    def _keep_in_mind(self, table: Table) -> None:
        """From here on it matters which rows the table was given."""
        index = self.puts.pop(table, None)
        if index is None:
            return
        shape, rows = self.batches[index]
        names = list(_names(table))
        places = [names.index(name) for name in _primary(table)]
        self.newest[shape] = self.table_last[table] = index
        for row in rows:
            self.row_last[table, tuple([row[place] for place in places])] = index


def apply(connection: Connection, writes: Iterable[Write]) -> None:
    """Execute the writes, as if one after the other. Raises what the database raises."""
    plan = _Plan()
    for write in writes:
        plan.add(write)
    for index, (shape, rows) in enumerate(plan.batches):
        rows.extend(plan.set_by.get(index, {}).values())
        if isinstance(shape, _PutShape | _PatchRowsShape):
            _execute_rows(connection, shape, rows)
        else:
            connection.execute(shape.statement(connection.dialect.name), rows)


def _execute_rows(
    connection: Connection, shape: _PutShape | _PatchRowsShape, rows: list[tuple[object, ...]]
) -> None:
    """Rows are most of what is written: their statement is made once, and they go as they are."""
    dialect = connection.dialect
    names = _parameters(shape)
    # A replay writes into a shadow, whose name takes the schema's place as each statement is made.
    is_shadow = bool(connection.get_execution_options().get("schema_translate_map"))
    statement = None if is_shadow else _text(shape, dialect)
    if statement is None:
        named = [dict(zip(names, row, strict=True)) for row in rows]
        connection.execute(shape.statement(dialect.name), named)
    elif dialect.name == "sqlite":
        ready = for_driver(rows, _binary(shape))
        if isinstance(shape, _PutShape):
            put_many(connection, statement, len(names), _where_they_go(shape.table, ready))
        else:
            connection.exec_driver_sql(statement, ready)
    elif dialect.positional:
        connection.exec_driver_sql(statement, rows)
    else:
        named = [dict(zip(names, row, strict=True)) for row in rows]
        connection.exec_driver_sql(statement, named)


def for_driver(
    rows: Sequence[tuple[object, ...]], binary: Sequence[int]
) -> list[tuple[object, ...]]:
    """Rows with their binary columns as bytearrays.

    SQLite's driver looks for ways to adapt whatever is bytes, which takes longer than writing the
    row; a bytearray it takes as it is.
    """
    found = list(rows)
    for place in binary:
        found = [
            (*row[:place], bytearray(value), *row[place + 1 :])
            if isinstance(value := row[place], bytes)
            else row
            for row in found
        ]
    return found


def _where_they_go(
    table: Table, rows: Sequence[tuple[object, ...]]
) -> Sequence[tuple[object, ...]]:
    """Rows that SQLite keeps in the order of their key, in the order of its first column.

    What comes together in the table is written together: it takes half the time. Rows that are
    equal there, so all of one key, stay in their order.
    """
    if table.dialect_options["sqlite"]["with_rowid"]:
        return rows
    place = list(_names(table)).index(_primary(table)[0])
    return sorted(rows, key=operator.itemgetter(place))


def put_many(
    connection: Connection, statement: str, columns: int, rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows by a statement for one of them, in SQLite.

    Python's lock is let go once a statement, not once a row: whoever waits for it elsewhere in the
    process, and whoever gives it up here, waits so much more seldom.
    """
    whole = len(rows) - len(rows) % ROWS_AT_ONCE
    if whole:
        many = _for_many(statement, columns)
        for at in range(0, whole, ROWS_AT_ONCE):
            values = tuple(chain.from_iterable(rows[at : at + ROWS_AT_ONCE]))
            connection.exec_driver_sql(many, values)
    if whole < len(rows):
        connection.exec_driver_sql(statement, list(rows[whole:]))


@lru_cache(maxsize=_SHAPES_KEPT)
def _for_many(statement: str, columns: int) -> str:
    before, marks, after = statement.partition(f"({', '.join('?' * columns)})")
    if not marks:
        raise ValueError(f"not a row of {columns} values: {statement}")
    return f"{before}{', '.join([marks] * ROWS_AT_ONCE)}{after}"


@lru_cache(maxsize=_SHAPES_KEPT)
def _parameters(shape: _PutShape | _PatchRowsShape) -> tuple[str, ...]:
    """What a row's values are called in the shape's statement."""
    if isinstance(shape, _PutShape):
        return tuple(_names(shape.table))
    keys = (f"k_{name}" for name in _primary(shape.table))
    return (*(f"v_{name}" for name in shape.names), *keys)


@lru_cache(maxsize=_SHAPES_KEPT)
def _binary(shape: _PutShape | _PatchRowsShape) -> tuple[int, ...]:
    columns = shape.table.columns
    places = enumerate(_columns(shape))
    return tuple(n for n, name in places if isinstance(columns[name].type, LargeBinary))


def _columns(shape: _PutShape | _PatchRowsShape) -> tuple[str, ...]:
    if isinstance(shape, _PutShape):
        return tuple(_names(shape.table))
    return (*shape.names, *_primary(shape.table))


@lru_cache(maxsize=_SHAPES_KEPT)
def _text(shape: _PutShape | _PatchRowsShape, dialect: Dialect) -> str | None:
    """The statement as the driver takes it; None where a value must be made ready for it first."""
    columns = shape.table.columns
    if any(type(columns[name].type) not in _PLAIN_TYPES for name in _columns(shape)):
        return None
    names = list(_parameters(shape))
    made = shape.statement(dialect.name)
    if not isinstance(made, ClauseElement):
        raise TypeError(made)
    keys = names if isinstance(shape, _PutShape) else None
    compiled = made.compile(dialect=dialect, column_keys=keys)
    order = getattr(compiled, "positiontup", None)
    return str(compiled) if order is None or order == names else None


@lru_cache(maxsize=_SHAPES_KEPT)
def _put_shape(table: Table) -> _PutShape:
    return _PutShape(table)


@lru_cache(maxsize=_SHAPES_KEPT)
def _patch_rows_shape(table: Table, names: tuple[str, ...]) -> _PatchRowsShape:
    return _PatchRowsShape(table, names)


def _shaped(write: Put | Patch | Erase) -> tuple[_Shape, Any]:
    match write:
        case Put(table, row):
            names = _names(table)
            if not row.keys() <= names.keys():
                raise ValueError(f"{table.name} has no column {sorted(row.keys() - names.keys())}")
            return _put_shape(table), tuple(map(row.get, names))
        case Patch(table, key, values):
            return _shaped_patch(table, key, values)
        case Erase(table, key):
            return _EraseShape(table, tuple(key)), {f"k_{name}": key[name] for name in key}


def _shaped_patch(
    table: Table, key: Mapping[str, object], values: Mapping[str, object]
) -> tuple[_Shape, dict[str, object]]:
    parameters = {f"k_{name}": key[name] for name in key}
    settings: list[_Setting] = []
    for name, value in values.items():
        if isinstance(value, Added):
            settings.append((name, _Change(name, operator.add)))
            parameters[f"v_{name}"] = value.amount
            continue
        if not isinstance(value, ClauseElement):
            settings.append((name, None))
            parameters[f"v_{name}"] = value
            continue
        change = _change(table, value)
        if change is None:
            made = update(table).where(_matches(table, tuple(key))).values(dict(values))
            return _AloneShape(table, made), {f"k_{name}": key[name] for name in key}
        settings.append((name, change[0]))
        parameters[f"v_{name}"] = change[1]
    return _PatchShape(table, tuple(key), tuple(settings)), parameters


def _change(table: Table, value: ClauseElement) -> tuple[_Change, object] | None:
    if not isinstance(value, BinaryExpression) or not isinstance(value.right, BindParameter):
        return None
    left = value.left
    is_ours = isinstance(left, Column) and left.table is table
    if not is_ours or value.operator not in (operator.add, operator.sub):
        return None
    return _Change(left.name, value.operator), value.right.value


def _row_of(write: Put | Patch | Erase) -> tuple[object, ...] | None:
    key = write.row if isinstance(write, Put) else write.key
    names = _primary(write.table)
    if isinstance(write, Put) or (len(key) == len(names) and all(name in key for name in names)):
        return tuple(key.get(name) for name in names)
    return None


@lru_cache(maxsize=_SHAPES_KEPT)
def _primary(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key)


@lru_cache(maxsize=_SHAPES_KEPT)
def _names(table: Table) -> dict[str, object]:
    return {column.name: None for column in table.columns}


def _matches(table: Table, key: Sequence[str]) -> ColumnElement[bool]:
    return and_(
        *(table.c[name] == bindparam(f"k_{name}", type_=table.c[name].type) for name in key)
    )


def _insert(table: Table, dialect: str) -> "postgresql.Insert | sqlite.Insert":
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - dear to import, seldom used

        return postgresql.insert(table)
    return sqlite.insert(table)


@lru_cache(maxsize=_SHAPES_KEPT)
def _put_statement(table: Table, dialect: str) -> Executable:
    insert = _insert(table, dialect)
    primary = _primary(table)
    others = {
        column.name: insert.excluded[column.name]
        for column in table.columns
        if column.name not in primary
    }
    if not others:
        return insert.on_conflict_do_nothing(index_elements=primary)
    return insert.on_conflict_do_update(index_elements=primary, set_=others)


@lru_cache(maxsize=_SHAPES_KEPT)
def _patch_statement(
    table: Table, key: tuple[str, ...], settings: tuple[_Setting, ...]
) -> Executable:
    values: dict[str, Any] = {}
    for name, change in settings:
        value = bindparam(f"v_{name}", type_=table.c[name].type)
        values[name] = change.combine(table.c[change.left], value) if change else value
    return update(table).where(_matches(table, key)).values(values)
