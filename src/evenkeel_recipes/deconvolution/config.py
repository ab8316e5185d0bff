"""What a run can be asked for; every field is an option of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evenkeel_recipes.kit.options import option, required


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Train on the embedded simulator, or on your reference, and estimate the proportions of your bulk samples.

    Exit status: 0 done; 2 usage; 3 stopped on a bad number; 4 data refused; 5 no better than the best baseline, with
    --require-skill.
    """

    reference: Path | None = option(None, "Labelled single cells (.h5ad, raw counts); without it, the simulator.")
    bulk: Path | None = option(None, "Bulk samples (.h5ad, .csv, .tsv), linear: counts, CPM or TPM.")
    truth: Path | None = option(None, "Measured proportions of the bulk samples (.csv: samples x types).")
    out: Path = option(Path("deconvolution-run"), "Directory of everything that is written.", "--output-dir")
    cell_type_key: str = option("cell_type", "Column of obs with the cell types.")
    counts_layer: str = option("counts", "Layer with raw counts; X where there is none.")
    donor_key: str | None = option(None, "Column of obs with the donors; they are then kept apart.")
    assume: str = option("linear", "What the bulk values are.", choices=("linear", "log1p", "log2p1"))
    max_cells_per_type: int = option(2000, "At most so many cells of a type are read, drawn at random.")
    n_genes: int = option(5000, "Genes to keep, those that tell types apart most.", "--n-hvg")
    n_train: int = option(10_000, "Pseudo-bulk samples to train on.")
    n_val: int = option(1000, "Pseudo-bulk samples to choose by.")
    n_test: int = option(1000, "Pseudo-bulk samples to judge by.")
    n_cells: int = option(1000, "Cells in a pseudo-bulk sample.")
    alpha: float = option(1.0, "Dirichlet parameter of the proportions.")
    redraws: int = option(20, "How often signature and mixtures are drawn from other halves of the training cells.")
    technology: float = option(0.8, "Up to which deviation (of the logarithm) genes are scaled in training mixtures.")
    latent_dim: int = option(32, "Width of the latent space of the VAE.")
    hidden_dim: int = option(128, "Width of the hidden layers.")
    dropout: float = option(0.2, "Dropout of the deconvolution network.")
    members: int = option(3, "Networks whose estimates are averaged.")
    learning_rate: float = option(1e-3, "Step size of AdamW.", "--lr")
    weight_decay: float = option(1e-2, "Weight decay of AdamW.")
    batch_size: int = option(256, "Pairs (a cell, a bulk sample) in an update, over all devices.", "--bs")
    max_epochs: int = option(100, "Passes over the pseudo-bulk samples at most.")
    patience: int = option(20, "Epochs without a better validation before training ends.")
    lambda_kl: float = option(0.1, "Weight of the VAE's divergence.")
    lambda_proto: float = option(1.0, "Weight of the prototype term.")
    lambda_bulk: float = option(1.0, "Weight of all bulk terms.")
    lambda_bulk_recon: float = option(0.5, "Weight of the bulk's reconstruction among them.")
    kl_warmup: int = option(10, "Epochs over which the divergence reaches its weight.")
    clip_norm: float = option(1.0, "Norm of the gradient above which it is scaled down.")
    precision: str = option("32-true", "Format of the arithmetic.", choices=("32-true", "bf16-mixed"))
    devices: int = option(1, "Processes to train in.")
    cpu: bool = option(False, "Stay on the CPU.")
    seed: int = option(42, "Of every draw.")
    quick_test: bool = option(False, "A small run of two epochs, to see that all fits together.")
    resume: bool = option(False, "Go on where the run in --out stopped.")
    experiment_name: str = option("deconvolution", "Name under the TensorBoard directory.")
    yes: bool = option(False, "Do not ask before a full run.", "-y")
    fault: tuple[str, ...] = option((), "Historical failures to plant, by name.", "--faults")
    require_skill: bool = option(False, "End with status 5 unless the model beats every baseline.")


@dataclass(frozen=True, slots=True)
class PredictConfig:
    """Estimate the proportions of bulk samples with what a run has trained."""

    bulk: Path = required("Bulk samples (.h5ad, .csv, .tsv), linear: counts, CPM or TPM.")
    model: Path = option(Path("deconvolution-run"), "Directory that a run wrote.")
    out: Path = option(Path("proportions.csv"), "File to write.")
    truth: Path | None = option(None, "Measured proportions (.csv: samples x types), to score against.")
    assume: str = option("linear", "What the bulk values are.", choices=("linear", "log1p", "log2p1"))


@dataclass(frozen=True, slots=True)
class MonitorConfig:
    """Look at a run from another terminal: curves, whether they are finite, where they go."""

    run: Path = option(Path("deconvolution-run"), "Directory that the run writes.", "--log-dir")
    output_dir: Path | None = option(None, "Where to write plots and summary; default: RUN/monitor.")
    watch: bool = option(False, "Go on until interrupted.")
    interval: float = option(30.0, "Seconds between looks.")


@dataclass(frozen=True, slots=True)
class ExplainConfig:
    """Tell what can be planted, what was wrong with it, and what ought to be said about it."""

    fault: tuple[str, ...] = option((), "Only these.", "--faults")
