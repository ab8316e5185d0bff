"""Measures how exact the operations of `evenkeel.ops` are, beside the naive form, torch's own and other projects'.

    python bench/accuracy.py [--only NAME ...] [--dtype NAME ...] [--points N] [--jobs N]

Every operation answers N points or more (rows of numbers, for functions of vectors; for functions of one number, in
float16 and bfloat16, all there are in the domain), mpmath answers the same points with 60 digits, and the largest
difference is printed in ulp of the dtype. "wrong" stands for nan in the place of a value, or a value in the place of
nan. The exit status is 1 when evenkeel exceeds a bound that its documentation states.

To add an operation, add a `Row` to the list ROWS of a file in bench/accuracy_rows/, one file per family. A row says
what to call, what is exact (in mpmath), where to ask, which bounds the docstring states, and whom to compare with.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from ulps import DTYPES, Row, Worst, worst

CHUNK = 4096


def all_rows() -> list[Row]:
    """The rows of all families, by name of their file."""
    files = sorted((Path(__file__).parent / "accuracy_rows").glob("[a-z]*.py"))
    assert files
    return [row for file in files for row in importlib.import_module(f"accuracy_rows.{file.stem}").ROWS]


def answers(row: Row, tensors: Sequence[torch.Tensor]) -> dict[str, list]:
    """What every function says at the points; those which do not know the dtype, or are not installed, say nothing."""
    said = {"evenkeel": row.ours(*tensors).detach().double().tolist()}
    for name, function in row.rivals.items():
        if function is None:
            continue
        try:
            said[name] = function(*tensors).detach().double().tolist()
        except (RuntimeError, NotImplementedError):
            continue
    return said


def measured_chunk(name: str, said: dict[str, list], points: list[tuple], dtype: str) -> dict[str, Worst]:
    """The part of the work that is worth a process of its own."""
    row = next(r for r in all_rows() if r.name == name)
    return worst(row, said, points, DTYPES[dtype])


def measured(row: Row, dtype: str, count: int, pool: ProcessPoolExecutor | None) -> tuple[int, dict[str, Worst]]:
    """The number of points, and the worst error of every function."""
    tensors = row.points(DTYPES[dtype], count, torch.Generator().manual_seed(0))
    said = answers(row, tensors)
    points = list(zip(*(t.double().tolist() for t in tensors), strict=True))
    starts = range(0, len(points), CHUNK)
    parts = [({n: v[s : s + CHUNK] for n, v in said.items()}, points[s : s + CHUNK]) for s in starts]
    if pool is None:
        found = [worst(row, values, at, DTYPES[dtype]) for values, at in parts]
    else:
        jobs = [pool.submit(measured_chunk, row.name, values, at, dtype) for values, at in parts]
        found = [job.result() for job in jobs]
    return len(points), {name: max((f[name] for f in found), key=lambda w: w.ulp) for name in said}


def written(error: Worst | None) -> str:
    """An error as the table has it."""
    if error is None:
        return "-"
    if math.isinf(error.ulp):
        return "wrong"
    return f"{error.ulp:.2f}" if error.ulp < 1000 else f"{error.ulp:.1e}"


def bound(row: Row, dtype: str) -> float:
    """What the docstring promises."""
    return row.narrow_bound if torch.finfo(DTYPES[dtype]).bits == 16 else row.wide_bound


def line(row: Row, dtype: str, count: int, found: dict[str, Worst]) -> str:
    """One line of the table."""
    others = [f"{n} {'not installed' if f is None else written(found.get(n))}" for n, f in row.rivals.items()]
    ours = found["evenkeel"]
    at = ours.argument
    where = f"{at:.9g}" if isinstance(at, float) else ", ".join(f"{a:.9g}" for a in at) if _plain(at) else "a row"
    bounded = f"{written(ours)} | {bound(row, dtype):g}"
    return f"| {row.name} | {dtype} | {count:,} | {bounded} | {where} | {'; '.join(others)} |"


def _plain(argument: object) -> bool:
    return isinstance(argument, tuple) and all(isinstance(a, float) for a in argument)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="rows whose name begins so")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    """Measure and print."""
    chosen = options()
    rows = [r for r in all_rows() if not chosen.only or r.name.startswith(tuple(chosen.only))]
    print("| operation | dtype | points | evenkeel, ulp | bound | worst at | others, ulp |")
    print("|---|---|---|---|---|---|---|")
    exceeded = 0
    pool = ProcessPoolExecutor(chosen.jobs) if chosen.jobs > 1 else None
    for row in rows:
        for dtype in (d for d in chosen.dtype if d in row.dtypes):
            count, found = measured(row, dtype, chosen.points, pool)
            print(line(row, dtype, count, found), flush=True)
            exceeded += found["evenkeel"].ulp > bound(row, dtype)
    return int(exceeded > 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
