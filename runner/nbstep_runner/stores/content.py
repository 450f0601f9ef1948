"""The bytes of objects on their way: opened, counted, digested, bounded and decoded."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar

from nbstep_runner.errors import BadInputError, StorageUnavailableError
from nbstep_runner.stores.protocol import Source

READ_LIMIT: Final = 2 * 2**30
"""No notebook and no parameters file is larger than this; what is larger is refused before it fills the memory."""
CHUNK: Final = 1 << 20
_BOMB_BYTES: Final = 64 * 2**20
_BOMB_RATIO: Final = 100
_MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "ipynb": "application/x-ipynb+json",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "yaml": "application/yaml",
}
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


class Digest(Protocol):
    """What ``hashlib`` and ``google_crc32c`` offer alike."""

    def update(self, data: bytes) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""


_AnyDigest = TypeVar("_AnyDigest", bound=Digest)


def opened(data: Source) -> BinaryIO:
    """The bytes as a file that can be read from its start.

    Raises:
        StorageUnavailableError: The local file cannot be read; the same for all functions here that read it.
    """
    with _explained(data):
        return data.open("rb") if isinstance(data, Path) else io.BytesIO(data)


def size_of(data: Source) -> int:
    """How many bytes will be written."""
    with _explained(data):
        return data.stat().st_size if isinstance(data, Path) else len(data)


@contextmanager
def _explained(data: Source) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnavailableError(
            f"The local file {data!s} cannot be read: {error.strerror}.",
            hint="Check that the scratch folder is still there and has room.",
        ) from error


def media_type(uri: str) -> str:
    """What the object is, for browsers that open it."""
    return _MEDIA_TYPES.get(uri.rpartition(".")[2].lower(), "application/octet-stream")


def chunks(data: Source) -> Iterator[bytes]:
    """The bytes in pieces that fit into memory."""
    with opened(data) as stream:
        while piece := stream.read(CHUNK):
            yield piece


def piece_of(data: Source, offset: int, size: int) -> bytes:
    """So many bytes from there on, fewer at the end."""
    if isinstance(data, bytes):
        return data[offset : offset + size]
    with opened(data) as stream:
        stream.seek(offset)
        return stream.read(size)


def digested(data: Source, digest: _AnyDigest) -> _AnyDigest:
    """The digest, fed with all bytes."""
    for piece in chunks(data):
        digest.update(piece)
    return digest


def checksum(data: Source) -> str:
    """``sha256:…`` of all bytes; that of a file is remembered while nobody writes to it: several ask for it.

    Raises:
        StorageUnavailableError: The local file cannot be read.
    """
    return f"sha256:{_sha256(data)}"


def _sha256(data: Source) -> str:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with _explained(data):
        found = data.stat()
    return _sha256_of_file(data, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


@lru_cache(maxsize=16)
def _sha256_of_file(path: Path, _mark: tuple[int, ...]) -> str:
    return digested(path, hashlib.sha256()).hexdigest()


@dataclass(frozen=True)
class Upload:
    """What is being written, with what has to come back; each is computed when it is first asked for.

    Raises:
        StorageUnavailableError: By each, where the local file cannot be read.
    """

    uri: str
    data: Source

    @cached_property
    def size(self) -> int:
        """In bytes."""
        return size_of(self.data)

    @cached_property
    def sha256(self) -> str:
        """In hexadecimal digits."""
        return _sha256(self.data)

    @cached_property
    def md5(self) -> str:
        """In hexadecimal digits."""
        return digested(self.data, hashlib.md5(usedforsecurity=False)).hexdigest()


def as_header(digest: str) -> str:
    """Hexadecimal digits as ``Content-MD5`` and its like have them, in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


class BoundedBuffer(io.BytesIO):
    """Memory that refuses more than :data:`READ_LIMIT` bytes."""

    def write(self, data: object) -> int:
        """Add bytes.

        Raises:
            BadInputError: The object is too large.
        """
        written = super().write(data)  # type: ignore[arg-type]  # whatever BytesIO takes
        if self.tell() > READ_LIMIT:
            raise BadInputError(f"The object is larger than {READ_LIMIT // 2**30} GiB.", hint="Give a smaller file.")
        return written


def gathered(pieces: Iterable[bytes]) -> bytes:
    """All pieces in one, bounded by :data:`READ_LIMIT`."""
    buffer = BoundedBuffer()
    for piece in pieces:
        buffer.write(piece)
    return buffer.getvalue()


def decoded(data: bytes, encoding: str, uri: str) -> bytes:
    """Bytes without their content encoding, refused where they swell like a bomb.

    Args:
        data: As it was sent.
        encoding: A ``Content-Encoding`` header; ``gzip``, ``deflate`` and none are understood.
        uri: For messages, without secrets.

    Raises:
        BadInputError: The encoding is another one, the data is damaged, or it is a decompression bomb.
    """
    if encoding.strip().lower() in {"", "identity"}:
        return data
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        raise BadInputError(f"{uri} is encoded as {encoding!r}, which is not understood.", hint="Store it plain.")
    try:
        return gathered(_inflated(data, uri))
    except zlib.error as error:
        raise BadInputError(f"{uri} is said to be {encoding}, and is not.", hint="Upload it again.") from error


def _inflated(data: bytes, uri: str) -> Iterator[bytes]:
    """Decompressed pieces. More than 100 times its size is no text: real notebooks reach 20."""
    machine, rest, total = zlib.decompressobj(_GZIP_OR_ZLIB), data, 0
    while not machine.eof:
        piece = machine.decompress(rest, CHUNK)
        rest = machine.unconsumed_tail
        total += len(piece)
        if total > max(_BOMB_BYTES, _BOMB_RATIO * len(data)):
            raise BadInputError(f"{uri} is a decompression bomb.", hint="Store it without compression.")
        if not (piece or rest or machine.eof):
            raise zlib.error("the data ends early")
        yield piece
        if machine.eof and machine.unused_data:  # gzip files may be joined
            rest, machine = machine.unused_data, zlib.decompressobj(_GZIP_OR_ZLIB)
