"""How much memory a run will need, before it does; what its stages took, afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenkeel_recipes.kit.outcome import peak_memory
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.means.profiles import cells_for_means

FLOAT = 4
COPIES_OF_PARAMETERS = 7  # themselves, gradients, two moments of AdamW, the checkpoint being written twice, averages
COPIES_OF_BATCH = 30  # tensors [batch, genes] that a step of stage 1 holds: decoder, likelihood, its slopes
COPIES_OF_CELLS = 30  # tensors [cells, genes] while treated and untreated cells are made and judged
LATER = 60_000_000  # bytes that libraries take when training and drawing begin


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes, by what they are for."""

    so_far: int
    parameters: int
    training_step: int
    generating: int

    @property
    def total(self) -> int:
        """The most at one time: training and generating take turns."""
        return self.so_far + LATER + self.parameters + max(self.training_step, self.generating)

    def __str__(self) -> str:
        """For people."""
        mb = [part / 1e6 for part in (self.total, self.so_far, self.parameters, self.training_step, self.generating)]
        return (
            f"about {mb[0]:,.0f} MB will be needed: {mb[1]:,.0f} are held (program and cells), "
            f"parameters and their moments {mb[2]:,.0f}, and {mb[3]:,.0f} for a step or {mb[4]:,.0f} to generate cells"
        )


def profile_lines(history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line a stage: milliseconds of a step in its fastest epoch, and the most memory up to its end."""
    for stage in dict.fromkeys(record["stage"] for record in history):
        records = [record for record in history if record["stage"] == stage]
        clock, cpu = (
            min(1e3 * record[name] / max(1, record["steps"]) for record in records)
            for name in ("seconds", "cpu_seconds")
        )
        yield (
            f"{stage}: {len(records)} epochs of {records[-1]['steps']} steps, {clock:.1f} ms a step on the clock and "
            f"{cpu:.1f} ms of the processor in the fastest, at most {records[-1]['peak_memory_bytes'] / 1e6:,.0f} MB"
        )


def estimate(study: Study, config: RunConfig, num_parameters: int) -> Estimate:
    """What a run on these cells will need."""
    genes = study.counts.shape[1]
    generated = max(config.eval_cells, cells_for_means(genes))
    return Estimate(
        so_far=peak_memory(),
        parameters=FLOAT * COPIES_OF_PARAMETERS * num_parameters,
        training_step=FLOAT * COPIES_OF_BATCH * config.batch_size * genes,
        generating=FLOAT * COPIES_OF_CELLS * generated * genes,
    )
