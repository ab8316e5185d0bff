"""Files of tensors are what the safetensors library reads and writes, bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evenkeel.capsule.formats import CODES, read_tensors, write_tensors
from evenkeel.capsule.refused import CapsuleRefused


def bits(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...], bytes]:
    """Everything about a tensor that counts."""
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return tensor.dtype, tuple(tensor.shape), flat.numpy().tobytes()


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Any dtype, shape, bits (every kind of NaN) and layout in memory."""
    dtype = draw(st.sampled_from(list(CODES)))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    numel = torch.Size(shape).numel()
    raw = draw(st.binary(min_size=numel * dtype.itemsize, max_size=numel * dtype.itemsize))
    if dtype == torch.bool:
        raw = bytes(b & 1 for b in raw)
    if not numel:
        return torch.empty(shape, dtype=dtype)
    tensor = torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)
    return tensor.movedim(0, -1) if len(shape) > 1 and draw(st.booleans()) else tensor


@given(given=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), tensors(), max_size=5))
def test_every_bit_comes_back(given: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Through our reader and through the library's; size and checksum are those of the file."""
    path = tmp_path_factory.mktemp("tensors") / "file"
    if "__metadata__" in given:
        return
    size, sha256 = write_tensors(path, given)
    content = path.read_bytes()
    assert (size, sha256) == (len(content), hashlib.sha256(content).hexdigest())
    expected = {key: bits(tensor) for key, tensor in given.items()}
    assert {key: bits(tensor) for key, tensor in read_tensors(content, "file").items()} == expected
    assert {key: bits(tensor) for key, tensor in safetensors.torch.load_file(path).items()} == expected


def test_what_is_read_can_be_written_into(tmp_path: Path) -> None:
    """It lies in memory of its own."""
    write_tensors(tmp_path / "file", {"x": torch.ones(3)})
    read = read_tensors((tmp_path / "file").read_bytes(), "file")["x"]
    read.add_(1)
    assert read.tolist() == [2, 2, 2]


def file_with(header: bytes, data: bytes = b"") -> bytes:
    """A file of this header."""
    return len(header).to_bytes(8, "little") + header + data


ENTRY = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no safetensors file"),
        (b"\xff" * 8, "its header claims 18,446,744,073,709,551,615 bytes; the file has 8"),
        (file_with(b"{}")[:-1], "no safetensors file"),
        (file_with(b"nonsense"), "no safetensors file"),
        (file_with(json.dumps(ENTRY).encode(), b"\0" * 7), "no safetensors file"),
        (file_with(json.dumps({"x": {**ENTRY["x"], "shape": [3]}}).encode(), b"\0" * 8), "no safetensors file"),
        (
            file_with(json.dumps({"x": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}).encode(), b"\0" * 8),
            "of the format",
        ),
    ],
    ids=["empty", "huge header", "cut header", "no JSON", "cut data", "wrong shape", "a dtype we never write"],
)
def test_a_damaged_file_is_refused(content: bytes, words: str) -> None:
    """With the file's name and what is wrong."""
    with pytest.raises(CapsuleRefused, match=words) as refused:
        read_tensors(content, "model.safetensors")
    assert str(refused.value).startswith("model.safetensors")
