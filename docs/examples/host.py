"""A host for Hearth's engine on wasmtime-py.

    python host.py REGISTRY BUNDLE_DIGEST     replays the bundle's golden requests, then ranks one of its own

REGISTRY is a folder; a trainer's RUN folder is laid out like one. docs/engine.md describes every byte.
A real host verifies the channel that names the bundle first, and limits time and memory of every call.
"""

import json
import struct
import sys
from pathlib import Path

from wasmtime import Engine as Wasmtime, Instance, Module, Store

MISSING = struct.pack("<I", 0x7FC00000)  # a missing number
NO_CODE = 0xFFFFFFFF  # a missing category, and the rank of a row outside the slate
NO_TIME = -(2**63)  # a missing timestamp
DESCRIBE, EXTRACT, ENCODE, SCORE, RANK = range(5)


class Engine:
    """Five exports, no imports."""

    def __init__(self, wasm):
        self.store = Store(Wasmtime())
        self.exports = Instance(self.store, Module(self.store.engine, wasm), []).exports(self.store)
        if self("hearth_abi") != 1:
            raise ValueError("this host speaks ABI 1 only")

    def __call__(self, name, *arguments):
        return self.exports[name](self.store, *arguments)

    def hand(self, message):
        """Copies a message into a buffer of the guest, which takes it over with the next call."""
        at = self("hearth_alloc", len(message)) & 0xFFFFFFFF
        if at == 0:
            raise MemoryError("the engine has no memory left")
        self.exports["memory"].write(self.store, message, at)
        return at

    def load(self, message):
        if self("hearth_load", self.hand(message), len(message)):
            raise ValueError(decode(reply(DESCRIPTION), self.call(DESCRIBE, b"\x01"))[1])

    def call(self, op, message):
        """The reply's bytes."""
        packed = self("hearth_call", op, self.hand(message), len(message)) & (2**64 - 1)
        at, length = packed >> 32, packed & 0xFFFFFFFF
        if at == 0:
            raise MemoryError("the engine has no memory left")
        bytes_ = bytes(self.exports["memory"].read(self.store, at, at + length))
        self("hearth_free", at, length)
        return bytes_


# The codec: a version byte, then fields one after the other; a type is a pair of (read, write).
# Numbers: one byte up to 250, else a mark and 2, 4 or 8 bytes; signed ones as 2n or -2n - 1.
def read_uint(r):
    first = r.take(1)[0]
    return int.from_bytes(r.take({251: 2, 252: 4, 253: 8}[first]), "little") if first > 250 else first


def write_uint(n):
    if n < 251:
        return bytes([n])
    mark, size = next((mark, size) for mark, size in [(251, 2), (252, 4), (253, 8)] if n < 256**size)
    return bytes([mark]) + n.to_bytes(size, "little")


def read_int(r):
    z = read_uint(r)
    return -(z >> 1) - 1 if z & 1 else z >> 1


UINT = (read_uint, write_uint)
INT = (read_int, lambda n: write_uint(2 * n if n >= 0 else -2 * n - 1))
BYTES = (lambda r: r.take(read_uint(r)), lambda b: write_uint(len(b)) + b)
TEXT = (lambda r: BYTES[0](r).decode(), lambda s: BYTES[1](s.encode()))


def sequence(item):
    return (lambda r: [item[0](r) for _ in range(read_uint(r))],
            lambda items: write_uint(len(items)) + b"".join(map(item[1], items)))


def fields(**types):
    return (lambda r: {name: read(r) for name, (read, _) in types.items()},
            lambda value: b"".join(write(value[name]) for name, (_, write) in types.items()))


def variant(*types):
    def read(r):
        which = read_uint(r)
        return which, types[which][0](r)
    return read, lambda value: write_uint(value[0]) + types[value[0]][1](value[1])


def reply(type_):
    return variant(type_, TEXT)  # 0: done, 1: refused, and why


class Reader:
    def __init__(self, data):
        if data[0] != 1:
            raise ValueError(f"version {data[0]} of the codec, this host reads 1")
        self.data, self.at = data, 1

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at]


def encode(type_, value):
    return b"\x01" + type_[1](value)


def decode(type_, data):
    return type_[0](Reader(data))


# The messages; many numbers are BYTES, little endian, four each.
TEXTS, UINTS = sequence(TEXT), sequence(UINT)
COLUMN = variant(BYTES, fields(names=TEXTS, codes=UINTS), fields(names=TEXTS, offsets=UINTS, codes=UINTS),
                 fields(width=UINT, data=BYTES), sequence(INT))
HISTORY = fields(items=TEXTS, actions=TEXTS, ts=sequence(INT), item=UINTS, action=UINTS, offset_min=sequence(INT),
                 dwell_ms=BYTES, completion=BYTES)
REQUEST = fields(id=TEXT, ts=INT, offset_min=INT, user=sequence(COLUMN), context=sequence(COLUMN), candidates=TEXTS,
                 fields=sequence(COLUMN), exclude=TEXTS)
CALL = fields(histories=sequence(HISTORY), requests=sequence(fields(history=UINT, request=REQUEST)), salt=TEXT)
ROWS = fields(items=TEXTS, sources=BYTES, ranks=UINTS, scores=BYTES, propensity=BYTES, sampling=BYTES,
              history_entries=UINT, values=fields(rows=UINT, columns=sequence(COLUMN)), vectors=BYTES)
RANKED = fields(rows=ROWS, candidates=UINT, nan_scores=UINT)
DESCRIPTION = fields(abi=UINT, kind=TEXT, features=UINT, width=UINT, items=UINT, model=TEXT)
LOAD = fields(encoder=BYTES, policy=BYTES, tables=BYTES, model=BYTES)
KIND = variant(*[fields()] * 5, UINT, fields())  # number, boolean, category, tags, text, vector(width), timestamp
FIELDS = sequence(fields(name=TEXT, kind=KIND))
SCHEMA = fields(user=FIELDS, context=FIELDS, item=FIELDS, candidate=FIELDS)  # an encoder begins with it


def missing(kind, rows):
    """A column of missing values of a field's kind."""
    which, width = kind
    return {0: (0, MISSING * rows), 1: (0, MISSING * rows), 2: (1, {"names": [], "codes": [NO_CODE] * rows}),
            3: (2, {"names": [], "offsets": [0] * (rows + 1), "codes": []}),
            4: (1, {"names": [], "codes": [NO_CODE] * rows}),
            5: (3, {"width": width, "data": MISSING * (rows * width)} if which == 5 else None),
            6: (4, [NO_TIME] * rows)}[which]


def replay(engine, golden):
    """Whether the golden requests get the very bytes that were recorded; and the requests."""
    reader = Reader(golden)
    call = CALL[0](reader)  # the blob is a call's fields, then the answers'
    return engine.call(RANK, golden[:reader.at]) == b"\x01\x00" + golden[reader.at:], call


def rank(engine, encoder, candidates, ts):
    """The slate for candidates of which nothing is known, and a user who played the last of them an hour ago."""
    schema = SCHEMA[0](Reader(encoder))
    columns = {name: [missing(f["kind"], len(candidates) if name == "candidate" else 1) for f in schema[name]]
               for name in schema}
    history = {"items": candidates[-1:], "actions": ["play"], "ts": [ts - 3_600_000], "item": [0], "action": [0],
               "offset_min": [0], "dwell_ms": MISSING, "completion": MISSING}
    request = {"id": "made-up", "ts": ts, "offset_min": 0, "user": columns["user"], "context": columns["context"],
               "candidates": candidates, "fields": columns["candidate"], "exclude": []}
    call = {"histories": [history], "requests": [{"history": 0, "request": request}], "salt": "salt"}
    refused, answer = decode(reply(sequence(RANKED)), engine.call(RANK, encode(CALL, call)))
    if refused:
        raise ValueError(answer)
    rows = answer[0]["rows"]
    scores = struct.unpack(f"<{len(rows['items'])}f", rows["scores"])
    return [row for row in zip(rows["ranks"], rows["items"], scores) if row[0] != NO_CODE]


def main(registry, digest):
    registry = Path(registry)
    manifest = json.loads((registry / "bundles" / digest).read_bytes())
    blobs = {b["role"]: (registry / "blobs" / "sha256" / b["sha256"]).read_bytes() for b in manifest["blobs"]}
    engine = Engine(blobs["engine"])
    engine.load(encode(LOAD, blobs))
    same, call = replay(engine, blobs["golden"])
    print(f"golden requests: {len(call['requests'])}, answers {'equal byte for byte' if same else 'DIFFER'}")
    first = call["requests"][0]["request"]
    for place, item, score in rank(engine, blobs["encoder"], first["candidates"], first["ts"]):
        print(place + 1, item, score)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
