# SPDX-License-Identifier: Apache-2.0
"""rosbag2's SQLite files, whole or damaged."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from .errors import RecordingError
from .recording import Channel, Record, Recording
from .sources import Sources
from .types import normalised

MAGIC = b'SQLite format 3\0'
PATIENCE = 1000
"""How many unreadable rows in a row are passed over before the rest is given up."""

UNINDEXED = 'messages NOT INDEXED'

SUMS = 'count(*), sum(id), sum(timestamp & 1048575)'
"""Figures that an index and its table share, small enough for any number of messages."""

DAMAGE = (sqlite3.Error, ValueError, TypeError, OverflowError)
"""What reading a damaged file raises; the latter where its texts and numbers are not such."""


class SqliteFile(Recording):
    """A lone .db3 file, or one of a rosbag2 directory."""

    def __init__(self, path: Path) -> None:
        """
        Find what the file holds.

        :raises RecordingError: when not even the list of topics can be read.
        """
        super().__init__(str(path))
        self._path = path
        self._short = self._broken = _is_short(path)
        if self._short:
            self.warn(f'{path} breaks off: it is shorter than it says; '
                      f'what is left of it is read, sqlite3 {path} .recover may find more')
        self._is_indexed = True
        self._sums: tuple[int, ...] = ()
        self._sources = Sources()
        try:
            with closing(self._connect()) as database:
                database.execute('BEGIN')  # one state of a file that is being written
                counts = self._counts(database)
                self._declare(database, counts)
                self._check_index(database)
                self.start = self._first_time(database)
        except DAMAGE as error:
            raise RecordingError(f'{path} is damaged ({error}): try sqlite3 {path} .recover, '
                                 'then read what that writes') from error
        for text in self._sources.pass_over_odd():
            self.warn(f'{path}: {text}')
        self.channels = self._sources.channels()

    def _connect(self) -> sqlite3.Connection:
        """Open the file for reading; with what a killed recorder left beside it, if possible."""
        uri = f'{self._path.resolve().as_uri()}?mode=ro'
        database = self._opened(uri)
        try:
            database.execute('SELECT count(*) FROM sqlite_master').fetchone()
        except sqlite3.OperationalError:
            database.close()
            database = self._opened(f'{uri}&immutable=1')
            self._name_what_lies_beside()
        return database

    def _opened(self, uri: str) -> sqlite3.Connection:
        database = sqlite3.connect(uri, uri=True)
        if self._short:  # otherwise SQLite refuses a file that lacks pages
            database.execute('PRAGMA writable_schema=ON')
        return database

    def _name_what_lies_beside(self) -> None:
        """Warn of what a killed recorder left, which is needed and not read."""
        log, journal = (Path(f'{self._path}-{kind}') for kind in ('wal', 'journal'))
        if log.is_file() and log.stat().st_size:
            self.warn(f'{self._path}: what its recorder left in {log.name} is not read; '
                      'copy both files to a folder that can be written, and read them there')
        if journal.is_file() and journal.stat().st_size:
            self._broken = True
            self.warn(f'{self._path}: its recorder was killed while it wrote and left '
                      f'{journal.name}; what can be read without that is read: for all, copy both '
                      f'files to a folder, run sqlite3 {self._path.name} .tables there, and read '
                      'that copy')

    def _declare(self, database: sqlite3.Connection, counts: dict[int, int]) -> None:
        definitions = _definitions(database)
        profiles = 'offered_qos_profiles' in _columns(database, 'topics')
        rows = database.execute('SELECT id, name, type, serialization_format, '
                                f'{"offered_qos_profiles" if profiles else "NULL"} FROM topics')
        for number, topic, kind, serialisation, qos in rows:
            if serialisation != 'cdr':
                self.warn(f"{self._path}: {topic} is passed over: it is '{serialisation}', and "
                          'only cdr is read')
                continue
            kind = normalised(kind)
            count = None if self._broken else counts.get(number, 0)
            self._sources.add(number, topic,
                              Channel(kind, count, definitions.get(kind, ''), qos or ''))

    def _counts(self, database: sqlite3.Connection) -> dict[int, int]:
        """Return how many messages each topic has; a table that cannot be walked is broken."""
        if self._broken:
            return {}
        try:
            rows = database.execute(
                f'SELECT topic_id, {SUMS} FROM {UNINDEXED} GROUP BY topic_id').fetchall()
            self._sums = tuple(map(sum, zip(*(row[1:] for row in rows), strict=True)))
            return {topic: count for topic, count, *_ in rows}
        except DAMAGE as error:
            self._broken = True
            self.warn(f'{self._path} is damaged ({error}): some messages are lost; '
                      f'sqlite3 {self._path} .recover may find more')
            return {}

    def _check_index(self, database: sqlite3.Connection) -> None:
        """Do without an index of messages that cannot be walked, or lists others."""
        if not self._sums:
            return
        try:
            self._is_indexed = all(
                database.execute(f'SELECT {SUMS} FROM messages INDEXED BY "{name}"').fetchone()
                == self._sums for name in _indexes(database))
        except DAMAGE:
            self._is_indexed = False
        if not self._is_indexed:
            self.warn(f'{self._path}: its index is damaged; it is read without that, and '
                      f"sqlite3 {self._path} 'REINDEX' mends it")

    @property
    def _messages(self) -> str:
        return 'messages' if self._is_indexed else UNINDEXED

    def _first_time(self, database: sqlite3.Connection) -> int:
        order = 'id' if self._broken else 'timestamp'
        row = database.execute(
            f'SELECT timestamp FROM {self._messages} ORDER BY {order} LIMIT 1').fetchone()
        return int(row[0]) if row else 0

    def _read(self, topics: frozenset[str]) -> Iterator[Record]:
        numbers = self._sources.numbers_of(topics)
        with closing(self._connect()) as database:
            read = self._rescued if self._broken else self._ordered
            for number, time, data in read(database, numbers):
                yield self._sources.by_number[number].record(time, data)

    def _ordered(self, database: sqlite3.Connection,
                 numbers: list[int]) -> Iterator[tuple[int, int, bytes]]:
        """Yield rows by time; the rows are sorted by their keys alone, never with their data."""
        lost = 0
        try:
            for (key,) in database.execute(
                    f'SELECT id FROM {self._messages} WHERE topic_id IN '
                    f'({", ".join("?" * len(numbers))}) ORDER BY timestamp, id', numbers):
                try:
                    row = _row(database, key)
                except DAMAGE:
                    lost += 1
                    continue
                if row is not None:
                    yield row
        except DAMAGE as error:
            self.warn(f'{self._path} is damaged ({error}): what follows is lost; '
                      f'sqlite3 {self._path} .recover may find more')
        if lost:
            self.warn(f'{self._path} is damaged: {lost} of its messages are lost')

    def _rescued(self, database: sqlite3.Connection,
                 numbers: list[int]) -> Iterator[tuple[int, int, bytes]]:
        """
        Yield rows in the order of their writing, as far as there are any.

        Of a short file the last row is left out: SQLite fills the page that breaks off by zeros.
        """
        held: list[tuple[int, int, bytes]] = []
        for row in self._walk(database):
            yield from (before for before in held if before[0] in numbers)
            held = [row]
        if not self._short:
            yield from (row for row in held if row[0] in numbers)

    @staticmethod
    def _walk(database: sqlite3.Connection) -> Iterator[tuple[int, int, bytes]]:
        """Yield every row that can be read, and go on after those that cannot."""
        key, failures = 0, 0
        while failures < PATIENCE:
            try:
                rows = database.execute('SELECT id, topic_id, timestamp, data FROM messages '
                                        'WHERE id > ? ORDER BY id', (key,))
                for number, topic, time, data in rows:
                    if number <= key or not isinstance(time, int) or not isinstance(data, bytes):
                        raise ValueError(f'row {number} after {key} is none')
                    key, failures = number, 0
                    yield topic, time, data
                return
            except DAMAGE:
                key, failures = key + 1, failures + 1


def _row(database: sqlite3.Connection, key: int) -> tuple[int, int, bytes] | None:
    row: tuple[int, int, bytes] | None = database.execute(
        'SELECT topic_id, timestamp, data FROM messages WHERE id = ?', (key,)).fetchone()
    return row


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in database.execute(f'PRAGMA table_info({table})')]


def _indexes(database: sqlite3.Connection) -> list[str]:
    rows = database.execute('PRAGMA index_list(messages)').fetchall()
    return [name for _, name, _, _, is_partial in rows if not is_partial]


def _definitions(database: sqlite3.Connection) -> dict[str, str]:
    """Return the message definitions, which files hold since rosbag2's fourth schema."""
    if 'encoded_message_definition' not in _columns(database, 'message_definitions'):
        return {}
    return {normalised(kind): text for kind, text in database.execute(
        'SELECT topic_type, encoded_message_definition FROM message_definitions')}


def _is_short(path: Path) -> bool:
    """Say whether a file has fewer pages than its header counts."""
    with path.open('rb') as file:
        header = file.read(100)
    if len(header) < 100:
        return True
    page, = struct.unpack('>H', header[16:18])
    pages, = struct.unpack('>I', header[28:32])
    return path.stat().st_size < int(pages) * (65536 if page == 1 else int(page))
