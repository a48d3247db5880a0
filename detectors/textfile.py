"""A delimited text file as bytes: compression, header line, delimiter, and whether its end was cut off."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator

import pyarrow as pa

from detectors.cells import decode, unique_names
from detectors.errors import DataError
from detectors.location import Location
from detectors.objects import ObjectPath

_HEAD = 1 << 20  # a header line and the last row are looked for in this many bytes
_LONGEST = 64 << 20  # bytes of a row
_MAX_PLAIN = 1 << 30
_MAX_RATIO = 200
_COMPRESSION = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def open_bytes(path: Location) -> tuple[pa.NativeFile, pa.NativeFile, int]:
    """The plain bytes of a file (.gz and .zst are known by their first bytes), those on disk, and their number.

    Raises:
        DataError: "unreadable" (missing, a folder, no permission) or "empty_file".
    """
    try:
        if isinstance(path, ObjectPath):  # opened once: each look at it is a request
            file = path.open("rb")
            size, _ = file.seek(0, io.SEEK_END), file.seek(0)
            magic, _ = file.read(4), file.seek(0)
        else:
            size = path.stat().st_size
            if path.is_dir():
                raise DataError("unreadable", f"{path} is a folder: name a CSV or Parquet file")
            with path.open("rb") as file:
                magic = file.read(4)
        if not magic:
            raise DataError("empty_file", f"{path} is empty (0 bytes): was it written to the end?")
        raw = pa.PythonFile(file, "r") if isinstance(path, ObjectPath) else pa.OSFile(str(path), "rb")
    except FileNotFoundError:
        raise DataError("unreadable", f"{path} does not exist: check the path") from None
    except OSError as error:
        raise DataError("unreadable", f"{path} cannot be opened: {error.strerror or error}") from None
    for start, kind in _COMPRESSION.items():
        if magic.startswith(start):
            return pa.CompressedInputStream(raw, kind), raw, size
    return raw, raw, size


class TextFile:
    """The rows of one delimited file, ready to be parsed; file-like, so that pyarrow can read from it.

    Attributes:
        columns: header names, stripped, repeated ones numbered.
        delimiter: one of `, ; tab |`.
        notes: what was read in a certain way.
        size: bytes on disk.
        done: bytes after the header line that `blocks` has given; None once it has given all.

    `on_read` is told how many bytes on disk have been read, and how many there are; `skip` plain bytes after the
    header line are passed over.
    """

    closed = False

    def __init__(
        self, path: Location, on_read: Callable[[int, int], None] | None = None, skip: int = 0
    ) -> None:
        self.path = path
        self._raw, self._disk, self.size = open_bytes(path)
        self._on_read = on_read
        self._plain = 0
        self._quotes = 0
        self._lines = 0
        self._before = b"\n"  # the last byte that was counted: at first the end of the header line
        self._opens = False
        self._tail = b""
        head = self._pull(_HEAD)
        while len(head) < _HEAD and (more := self._pull(_HEAD - len(head))):
            head += more
        header, self._rest = _split_header(path, head)
        self.delimiter = max(",;\t|", key=re.sub(r'"[^"]*"', "", header).count)
        cells = next(csv.reader(io.StringIO(header, newline=""), delimiter=self.delimiter))
        if all(_is_number(cell) for cell in cells):
            raise DataError("unreadable", f"{path} has no header: its first line holds numbers only")
        self.columns, self.notes = unique_names(cells)
        self.done: int | None = 0
        self._pass(skip)

    def __enter__(self) -> TextFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._raw.close()
        self.closed = True

    def read(self, size: int = -1) -> bytes:
        """The next bytes after the header line."""
        if self._rest:
            size = len(self._rest) if size < 0 else size
            data, self._rest = self._rest[:size], self._rest[size:]
        else:
            data = self._pull(size)
            if self._on_read is not None:
                self._on_read(self._disk.tell(), self.size)
        self._keep(data)
        return data

    def blocks(self, size: int) -> Iterator[memoryview]:
        """Whole lines, about `size` bytes at once, up to the block with the first quote, and the end checked.

        Instead of `read`: whoever meets a quote goes on with another `TextFile`, `done` bytes further on.
        """
        kept = b""
        while True:
            data, self._rest = self._rest[:size], self._rest[size:]
            while len(data) < size and (more := self._pull(size - len(data))):
                data = data + more if data else more
            if self._on_read is not None:
                self._on_read(self._disk.tell(), self.size)
            if b'"' in data:
                return
            if len(kept) > _LONGEST:
                raise DataError(
                    "unreadable",
                    f"{self.path} has a row of more than {_LONGEST >> 20} MiB: it is not a CSV file",
                )
            lines = kept + data if kept else data
            if not data:
                self._tail = lines
                self.check_end()
                if lines:
                    yield memoryview(lines)
                self.done = None
                return
            last = data.rfind(b"\n")
            end = max(last, data.rfind(b"\r", max(last, 0))) + 1
            cut = len(kept) + end if end else 0
            kept = self._back(lines[cut:]) if cut else lines
            if cut:
                self.done = (self.done or 0) + cut
                yield memoryview(lines)[:cut]

    def _back(self, data: bytes) -> bytes:
        """Give back what was read too far, as to put it before the next block means to copy that; or give it again."""
        if not data or self._rest or not isinstance(self._raw, pa.OSFile):
            return data
        self._raw.seek(self._raw.tell() - len(data))
        self._plain -= len(data)
        return b""

    def check_end(self) -> None:
        """Once everything is read: DataError "truncated" if the last row was cut off."""
        if self._quotes % 2 and (not self._tail.endswith((b"\n", b"\r")) or self._ends_quoted()):
            raise DataError(
                "truncated", f"{self.path} is cut off: a quoted cell is not closed at its end; write it again"
            )
        if self._tail.endswith((b"\n", b"\r")) or not self._tail.strip():
            return
        last = re.split(rb"[\r\n]", self._tail)[-1]
        try:
            cells = len(next(csv.reader([decode(last)], delimiter=self.delimiter)))
        except csv.Error:  # a cell that is too long for the module
            cells = last.count(self.delimiter.encode()) + 1
        if cells < len(self.columns) and not self._quotes % 2 and last.count(b'"') % 2 == 0:
            raise DataError(
                "truncated",
                f"{self.path} is cut off: its last line has {cells} of {len(self.columns)} cells; "
                "write it again",
            )

    def lines_within_cells(self, rows: int) -> int:
        """Once everything is read: line breaks that end no row, of which `rows` were read or left out."""
        return max(0, self._lines - rows) if self._quotes else 0

    def _ends_quoted(self) -> bool:
        # an odd number of quotes may also be a stray one inside a cell (5" pipe): only an opening one counts
        return self._opens

    def _pass(self, skip: int) -> None:
        while skip > len(self._rest):
            skip -= len(self._rest)
            self._rest = self._pull(_HEAD)
            if not self._rest:
                return
        self._rest = self._rest[skip:]

    def _pull(self, size: int) -> bytes:
        try:
            data: bytes = self._raw.read(size if size >= 0 else None)
        except OSError as error:
            raise DataError(
                "truncated", f"{self.path} is damaged or cut off ({error}): write it again"
            ) from None
        self._plain += len(data)
        if self._plain > _MAX_PLAIN and self._plain > _MAX_RATIO * self.size:
            raise DataError(
                "bomb",
                f"{self.path} unpacks to more than {_MAX_RATIO} times its size and 1 GiB: "
                "unpack it yourself first",
            )
        return data

    def _keep(self, data: bytes) -> None:
        if (at := data.rfind(b'"')) >= 0:  # whether the last quote opens a cell
            before = data[at - 1 : at] if at else self._tail[-1:]
            self._opens = before in (b"", b"\n", b"\r", self.delimiter.encode())
        self._quotes += data.count(b'"')
        text = self._before + (data.replace(b"\r", b"") if b"\r" in data else data)
        blank = sum(len(run) - 1 for run in re.findall(rb"\n\n+", text)) if b"\n\n" in text else 0
        self._lines += text.count(b"\n", 1) - blank
        self._before = text[-1:]
        self._tail = data[-_HEAD:] if len(data) >= _HEAD else (self._tail + data)[-_HEAD:]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _split_header(path: Location, head: bytes) -> tuple[str, bytes]:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("unreadable", f"{path} is UTF-16: save it as UTF-8")
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not head.strip():
        raise DataError("empty_file", f"{path} holds only blanks: was it written to the end?")
    if b"\x00" in head[:4096]:
        raise DataError("unreadable", f"{path} is not a CSV or Parquet file: it holds binary data")
    newline = b"\n" if b"\n" in head else b"\r"
    end = head.find(newline)
    while end >= 0 and head.count(b'"', 0, end) % 2:  # a line break inside a quoted name
        end = head.find(newline, end + 1)
    if end < 0 and len(head) >= _HEAD:
        raise DataError("unreadable", f"{path} has no line break in its first MiB: it is not a CSV file")
    end = len(head) if end < 0 else end
    return decode(head[:end].rstrip(b"\r")), head[end + 1 :]
