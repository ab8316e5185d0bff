"""One file of tensors in the safetensors format: written tensor by tensor, read with every number checked.

Source: https://huggingface.co/docs/safetensors: 8 bytes of header length, a JSON header, then the data without holes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, deserialize
from torch import Tensor

from evenkeel.capsule.refused import CapsuleRefused

CODES: dict[torch.dtype, str] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_DTYPES = {code: dtype for dtype, code in CODES.items()}
_MAX_HEADER = 1 << 26  # 64 MiB name half a million tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> tuple[int, str]:
    """Write dense real tensors of the dtypes in `CODES`, wherever they lie.

    Returns: size in bytes and SHA-256 of the file. Memory: a copy of one tensor at a time, in the host's memory.
    """
    widest_first = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))  # keeps all aligned
    header = _header(dict(widest_first))
    hasher, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        heads = (len(header).to_bytes(8, "little"), header)
        for piece in itertools.chain(heads, (_bytes_of(tensor) for _, tensor in widest_first)):
            hasher.update(piece)
            size += file.write(piece)
    return size, hasher.hexdigest()


def read_tensors(content: bytes, name: str) -> dict[str, Tensor]:
    """The tensors of a file, in memory of their own.

    Raises:
        CapsuleRefused: it is no such file, or has a dtype that capsules do not have.
    """
    claimed = int.from_bytes(content[:8], "little")
    if claimed > min(_MAX_HEADER, len(content)):
        raise CapsuleRefused(f"{name}: its header claims {claimed:,} bytes; the file has {len(content):,}")
    try:
        found: list[tuple[str, dict[str, object]]] = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise CapsuleRefused(f"{name} is no safetensors file: {error}") from error
    return {key: _tensor(view, f"{name}: {key!r}") for key, view in found}


def _header(tensors: Mapping[str, Tensor]) -> bytes:
    entries, end = {}, 0
    for key, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        entries[key] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries).encode()
    return text + b" " * (-len(text) % 8)


def _bytes_of(tensor: Tensor) -> Any:  # noqa: ANN401  a buffer, which has no name before Python 3.12
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()


def _tensor(view: Mapping[str, object], at: str) -> Tensor:
    code, shape, content = view["dtype"], view["shape"], view["data"]
    if code not in _DTYPES or not isinstance(shape, list) or not isinstance(content, bytes | bytearray):
        raise CapsuleRefused(f"{at} is of the format {code!r}; capsules have {', '.join(_DTYPES)}")
    dtype, numel = _DTYPES[code], math.prod(shape)
    if len(content) != numel * dtype.itemsize:
        raise CapsuleRefused(f"{at} has {len(content):,} bytes; its shape {shape} says {numel * dtype.itemsize:,}")
    if numel == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)
