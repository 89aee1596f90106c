"""Reads the nodes and constants of an ONNX file: the few fields that a policy's graph has.

The package onnx reads all of them, but a robot need not have it: rosdep does not know it. Field numbers are those of
onnx.proto, the encoding is that of Protocol Buffers (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER = 7, 1, 5
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE = 1, 2, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INTEGER = 1, 3
TENSOR_DIMENSIONS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW_DATA = 1, 2, 8, 9
FLOAT32 = 1


@dataclass(frozen=True)
class Node:
    """An operator, the names of what goes in and comes out, and its integer attributes (others: None)."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, int | None]


def read_graph(model: bytes) -> tuple[list[Node], dict[str, NDArray[np.float32]]]:
    """Return the nodes of a model in their order, and its float32 constants by name.

    Raises:
        ValueError: if the bytes are no such message.
    """
    nodes, constants = [], {}
    for number, graph in _fields(model):
        if number != MODEL_GRAPH or not isinstance(graph, bytes):
            continue
        for part, value in _fields(graph):
            if part == GRAPH_NODE:
                nodes.append(_node(_bytes(value)))
            elif part == GRAPH_INITIALIZER:
                name, tensor = _tensor(_bytes(value))
                if tensor is not None:
                    constants[name] = tensor
    return nodes, constants


def _node(data: bytes) -> Node:
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_OPERATOR: []}
    attributes: dict[str, int | None] = {}
    for number, value in _fields(data):
        if number in texts:
            texts[number].append(_bytes(value).decode())
        elif number == NODE_ATTRIBUTE:
            found = dict(_fields(_bytes(value)))
            integer = found.get(ATTRIBUTE_INTEGER)
            attributes[_bytes(found.get(ATTRIBUTE_NAME, b"")).decode()] = integer if isinstance(integer, int) else None
    return Node("".join(texts[NODE_OPERATOR]), tuple(texts[NODE_INPUT]), tuple(texts[NODE_OUTPUT]), attributes)


def _tensor(data: bytes) -> tuple[str, NDArray[np.float32] | None]:
    """Return a tensor with its name; None in its place where it is no float32, or its data lies elsewhere."""
    shape: list[int] = []
    kind, name, raw = 0, "", None
    for number, value in _fields(data):
        if number == TENSOR_DIMENSIONS:
            shape += [value] if isinstance(value, int) else list(_packed(value))
        elif number == TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == TENSOR_NAME:
            name = _bytes(value).decode()
        elif number == TENSOR_RAW_DATA:
            raw = _bytes(value)
    if kind != FLOAT32 or raw is None:
        return name, None
    return name, np.frombuffer(raw, dtype="<f4").reshape(shape).astype(np.float32)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give the fields of a message: number, and an integer or the bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == LENGTH:
            size, at = _varint(data, at)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            size = 8 if wire == EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"ends within the field at byte {at}")
        yield number, data[at : at + size]
        at += size


def _packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer that begins at byte `at`, and where the next field begins."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError(f"no integer at byte {at}")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"an integer, {value}, where bytes are expected")
    return value
