"""Opens mutated copies of a capsule and watches what happens: `python fuzz.py CAPSULE.zip COUNT SEED`.

Half of the mutations repair sizes and checksums afterwards, as somebody would who means harm. Prints how each ended.
"""

import copy
import hashlib
import json
import random
import resource
import shutil
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.investigate.replay import opened

Files = list[tuple[str, bytes]]

UNPACKED = 0.1  # of the capsules
READ_ONLY = ("r", "rb", None)
SUSPECT = (
    *("exec", "compile", "import", "marshal.loads", "pickle.find_class", "code.__new__", "ctypes.dlopen"),
    *("os.", "shutil.", "subprocess.", "socket.", "tempfile.", "glob."),
)
HARMLESS = ("os.listdir", "os.scandir")
MOST_MEMORY = 16 << 30  # of addresses; torch alone reserves several

HOSTILE: list[Any] = [
    *(None, True, -1, 0, 1, 2, 7, 1 << 31, 1 << 63, 1 << 200, -(1 << 64), 0.5, 1e308),
    *(
        "",
        "nan",
        "inf",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "os",
        "system",
        "__class__",
        "float99",
        "\udce9",
        "x" * 9999,
    ),
    *("qint8", "complex64", "bfloat16", "bool", "uint16", "object", "random", "datetime64"),
    *([], {}, [[]], [None], {"tensor": "0"}, {"absent": "x"}, {"float": "nan"}, {"float": []}, {"tuple": 3}),
    *({"dict": [[1, 2, 3]]}, {"dict": [[[], 1]]}, {"fields": [["__class__", 1]]}, {"inside": [[".x", 1]]}, {"why": 1}),
    *(
        {"sparse": ["0", "1"], "shape": [1 << 40], "dtype": "float32"},
        {"array": "0", "shape": [-1], "dtype": "float32"},
    ),
    *({"tensor": "0", "dtype": "float32", "shape": [4, 3], "stride": [1 << 62, -1]}, {"tensor": "0", "dtype": "load"}),
]


def nodes_of(value: dict[str, Any] | list[Any], found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
        found.append((value, key))
        if isinstance(part, dict | list):
            nodes_of(part, found)
    return found


def mutated_json(content: bytes, rng: random.Random) -> bytes:
    """A few values replaced, taken away, doubled, or nested without end."""
    value = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        places = nodes_of(value, [])
        if not places:
            break
        holder, key = rng.choice(places)
        match rng.randrange(6):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.append(holder[key])
            case 2:
                donor, at = rng.choice(places)
                holder[key] = copy.deepcopy(donor[at] if isinstance(donor, list) or at in donor else donor)
            case 3:
                for _ in range(rng.choice([3, 50, 300])):
                    holder[key] = [holder[key]]
            case _:
                holder[key] = copy.deepcopy(rng.choice(HOSTILE))
    return json.dumps(value).encode()


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut, added or moved."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del changed[at:]
            case 2:
                changed[at:at] = rng.randbytes(rng.choice([1, 8, 100]))
            case 3:
                changed[at : at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, (1 << 40).to_bytes(8, "little")])
            case _:
                del changed[at : at + rng.randint(1, 64)]
    return bytes(changed)


def mutated_header(content: bytes, rng: random.Random) -> bytes:
    """Another header over the same tensors."""
    size = int.from_bytes(content[:8], "little")
    header = mutated_json(content[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def mutated_names(files: Files, rng: random.Random) -> Files:
    """Files renamed, swapped, doubled, added or left out."""
    at, other = rng.sample(range(len(files)), 2)
    name, content = files[at]
    match rng.randrange(5):
        case 0:
            files[at] = (
                rng.choice([f"../{name}", f"/etc/{name}", f"a/{name}", name.upper(), "evil.py", f"./{name}"]),
                content,
            )
        case 1:
            files[at], files[other] = (name, files[other][1]), (files[other][0], content)
        case 2:
            files.append((name, b"{}"))
        case 3:
            files.append((rng.choice(["../evil.py", "evil.pkl", "/etc/evil", "__init__.py"]), b"print('ran')"))
        case _:
            del files[at]
    return files


def sealed(files: Files) -> Files:
    """The same with a manifest that has their sizes and checksums."""
    manifest = json.loads(dict(files)["manifest.json"])
    for file in manifest["files"]:
        content = dict(files).get(file["name"], b"")
        file.update(num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    return [(name, json.dumps(manifest).encode() if name == "manifest.json" else content) for name, content in files]


def zipped(files: Files, rng: random.Random) -> bytes:
    """One file, stored or compressed."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as file:
        for name, content in files:
            file.writestr(name, content)
    return buffer.getvalue()


def mutated(files: Files, rng: random.Random) -> bytes:
    """A capsule with something wrong, or with nothing."""
    files = list(files)
    kind = rng.choices(["json", "header", "bytes", "names", "zip"], [6, 3, 3, 2, 2])[0]
    if kind == "zip":
        return mutated_bytes(zipped(files, rng), rng)
    if kind == "names":
        return zipped(mutated_names(files, rng), rng)
    suffix = {"json": ".json", "header": ".safetensors"}.get(kind, "")
    at = rng.choice([i for i, (name, _) in enumerate(files) if name.endswith(suffix)])
    mutate: Callable[[bytes, random.Random], bytes] = {
        "json": mutated_json, "header": mutated_header, "bytes": mutated_bytes,
    }[kind]  # fmt: skip
    files[at] = (files[at][0], mutate(files[at][1], rng))
    is_manifest = files[at][0] == "manifest.json"
    return zipped(files if is_manifest or rng.random() < 0.1 else sealed(files), rng)


def unpacked(file: zipfile.ZipFile, target: Path) -> Path:
    """The files that can lie in one directory."""
    members = {name: file.read(name) for name in file.namelist() if "/" not in name and "\0" not in name}
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name, inside in members.items():
        (target / name).write_bytes(inside)
    return target


def placed(content: bytes, parent: Path, rng: random.Random) -> Path:
    """A capsule on the disk, as a file or, now and then, as the directory that it holds."""
    if rng.random() < UNPACKED:
        with suppress(zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):  # else as a file
            return unpacked(zipfile.ZipFile(BytesIO(content)), parent / "mutant")
    (parent / "mutant.zip").write_bytes(content)
    return parent / "mutant.zip"


class Watch:
    """What the interpreter does while a capsule is opened."""

    def __init__(self) -> None:
        self.is_on = False
        self.seen: Counter[str] = Counter()
        sys.addaudithook(self.hear)

    def hear(self, event: str, given: tuple[Any, ...]) -> None:
        """Note what nobody should do."""
        if not self.is_on:
            return
        writes = event == "open" and (given[1] not in READ_ONLY or (isinstance(given[2], int) and given[2] & 3))
        if writes or (event.startswith(SUSPECT) and event not in HARMLESS):
            self.seen[f"{event} {given!r:.200}"] += 1


def main(source: Path, count: int, seed: int) -> None:
    """Mutate, open, count."""
    warnings.simplefilter("ignore", UserWarning)  # zipfile, of the doubled names that are made here
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    with zipfile.ZipFile(source) as file:
        files = [(name, file.read(name)) for name in file.namelist()]
    rng, watch, ended = random.Random(seed), Watch(), Counter()
    opened(source)  # whatever is loaded late is loaded
    for _ in range(count):
        content = mutated(files, rng)
        target = placed(content, source.parent, rng)
        watch.is_on = True
        try:
            opened(target)
            ended["opened"] += 1
        except CapsuleRefused as refused:
            ended["refused"] += 1
            ended["without a word"] += not str(refused)
        finally:
            watch.is_on = False
    print(json.dumps({"ended": ended, "seen": watch.seen, "left": sorted(p.name for p in source.parent.iterdir())}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
