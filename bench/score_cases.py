"""Runs every case under evenkeel and under torch's anomaly mode, and scores both against the truth.

    python bench/score_cases.py [--only u36 ...] [--jobs N] [--json FILE]

The exit status is 1 when a bar is missed: of the cases that become non-finite all are detected at the right step, the
line is right in 97 %, function and family in 95 %, samples in 90 %; no alarm on a control, no run that breaks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from case_score import ASPECTS, Answer, Truth, load_truths, mark, read_incident, shortfalls, summarise, why_missed
from rich.console import Console
from rich.table import Table

ANOMALY_RUNNER = Path(__file__).resolve().with_name("anomaly_runner.py")
ANOMALY_ASPECTS = ("detected", "step", "line", "function", "op")  # the rest it never names
STOPPED_ON_INCIDENT = 3
TIMEOUT_S = 300.0
SIGNS = {True: "[green]yes[/]", False: "[red]no[/]", None: "[dim]-[/]"}
PLAIN_WIDTH = 190  # of a table that goes to a file or a pipe

Scored = Sequence[tuple[Truth, Answer]]


def start(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command on one thread, with what it prints captured."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S, check=False)


def ask_evenkeel(truth: Truth, folder: Path) -> Answer:
    """Run one case under `evenkeel run` and read its incident."""
    out = folder / truth.script.stem
    command = [sys.executable, "-m", "evenkeel", "run", "--out", str(out), str(truth.script)]
    try:
        done = start(command)
    except subprocess.TimeoutExpired:
        return Answer(alarmed=False, failure=f"still running after {TIMEOUT_S:.0f} s")
    try:
        answer = read_incident(out, truth.script)
    except (KeyError, TypeError, ValueError) as error:
        return Answer(alarmed=False, failure=f"incident.json is not as agreed: {error!r}")
    expected = {0, STOPPED_ON_INCIDENT} if answer.alarmed else {0}
    if done.returncode not in expected:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing printed").splitlines()[-1]
        return Answer(
            alarmed=False, failure=f"exit status {done.returncode}, expected one of {sorted(expected)}: {last}"
        )
    return answer


def ask_anomaly_mode(truth: Truth, _folder: Path) -> Answer:
    """Run one case under `torch.autograd.set_detect_anomaly(True)`."""
    try:
        done = start([sys.executable, str(ANOMALY_RUNNER), str(truth.script)])
    except subprocess.TimeoutExpired:
        return Answer(alarmed=False, failure=f"still running after {TIMEOUT_S:.0f} s")
    if done.returncode != 0:
        return Answer(alarmed=False, failure=f"exit status {done.returncode}: {done.stderr.strip()[-200:]}")
    given: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if not given["raised"]:
        return Answer(alarmed=False)
    return Answer(
        alarmed=True,
        step=given["step"],
        line=given["line"],
        function=given["function"],
        op=given["op"],
    )


def ask_all(truths: Sequence[Truth], ask: Callable[[Truth, Path], Answer], jobs: int) -> Scored:
    """Put one question to every case, a few at a time, in the order of the cases."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        answers = pool.map(lambda truth: ask(truth, Path(folder)), truths)
        return list(zip(truths, answers, strict=True))


def case_table(title: str, scored: Scored, aspects: Sequence[str]) -> Table:
    """One line per case: which aspects are right, and what was said where they are not."""
    table = Table(title=title, header_style="bold")
    for name in ("case", *aspects, "said"):
        table.add_column(name)
    for truth, answer in scored:
        if truth.control:
            marks = ["[red]ALARM[/]" if answer.alarmed else "[green]silent[/]"] + [""] * (len(aspects) - 1)
        else:
            given = mark(truth, answer)
            marks = [SIGNS[given[aspect]] for aspect in aspects]
        table.add_row(
            truth.script.stem,
            *marks,
            "; truth: ".join(filter(None, (said(answer), why_missed(truth, answer, aspects)))),
        )
    return table


def said(answer: Answer) -> str:
    """The answer in a few words."""
    if answer.failure:
        return f"[red]{answer.failure}[/]"
    if not answer.alarmed:
        return ""
    place = f"step {answer.step}, line {answer.line}, {answer.op}"
    return f"{place}, {answer.family}" if answer.family else place


def summary_table(figures: dict[str, dict[str, Any]]) -> Table:
    """Both tools side by side; the controls stand below."""
    table = Table(title="Right answers", header_style="bold")
    for name in ("", *(f"{tool}, {group}" for tool in figures for group in ("all", "nonfinite"))):
        table.add_column(name, justify="right" if name else "left")
    for aspect in ASPECTS:
        cells = []
        for tool, given in figures.items():
            named = tool != "anomaly mode" or aspect in ANOMALY_ASPECTS
            cells += [cell(given[group][aspect]) if named else "-" for group in ("all", "nonfinite")]
        table.add_row(aspect, *cells)
    alarms = [f"{len(given['false_alarms'])}/{given['num_controls']}" for given in figures.values()]
    table.add_row("alarms on controls", *(part for count in alarms for part in (count, "")))
    return table


def cell(figure: dict[str, Any]) -> str:
    """Such as "46/58 79 %", or "-" when nothing was asked."""
    if figure["share"] is None:
        return "-"
    return f"{figure['right']}/{figure['asked']} {100 * figure['share']:.0f} %"


def record(figures: dict[str, Any], answers: dict[str, Scored]) -> str:
    """Everything that was measured, as JSON: the figures, and each answer with its marks."""
    cases = {
        tool: {truth.id: {**asdict(answer), "marks": mark(truth, answer)} for truth, answer in scored}
        for tool, scored in answers.items()
    }
    return json.dumps({"figures": figures, "cases": cases}, indent=2, allow_nan=False) + "\n"


def chosen(only: Sequence[str]) -> tuple[Truth, ...]:
    """The cases whose name begins with one of the given words; all when none is given."""
    truths = load_truths()
    kept = tuple(truth for truth in truths if not only or truth.script.stem.startswith(tuple(only)))
    if not kept:
        raise SystemExit(f"no case begins with {', '.join(only)}; the cases are named like {truths[0].script.stem}")
    return kept


def main() -> int:
    """Score all cases, print the tables, and say whether the bars are reached."""
    parser = argparse.ArgumentParser(description="Score evenkeel on public numerical failures.")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="beginnings of case names")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options = parser.parse_args()

    truths = chosen([word.lower() for word in options.only])
    answers = {
        "evenkeel": ask_all(truths, ask_evenkeel, options.jobs),
        "anomaly mode": ask_all(truths, ask_anomaly_mode, options.jobs),
    }
    figures = {tool: summarise(scored) for tool, scored in answers.items()}
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    console.print(case_table("evenkeel", answers["evenkeel"], ASPECTS))
    console.print(case_table("anomaly mode", answers["anomaly mode"], ANOMALY_ASPECTS))
    console.print(summary_table(figures))
    if options.json:
        options.json.write_text(record(figures, answers))
    missed = shortfalls(figures["evenkeel"])
    for sentence in missed:
        console.print(f"[red]missed:[/] {sentence}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
