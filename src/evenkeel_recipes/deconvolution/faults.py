"""What went wrong in the ancestor of this recipe, to be planted by name: `--fault kl_log_zero`."""

from __future__ import annotations

from dataclasses import replace

from evenkeel_recipes.deconvolution import history
from evenkeel_recipes.deconvolution.science import Science, free
from evenkeel_recipes.kit.faults import Fault


def _raw(science: Science) -> Science:
    """Raw bulk reaches the ancestor's network, and nobody checks it."""
    return replace(
        science,
        bulk_view=history.raw_counts,
        bulk_target=history.as_stored,
        bulk_loss=history.raw_beside_logarithms,
        networks=free,
        validated=history.unchecked,
    )


FAULTS: tuple[Fault[Science], ...] = (
    Fault(
        name="kl_log_zero",
        happened="the loss is inf in the first step and every parameter NaN in the second; validation is NaN for ever",
        cause="raw bulk sums saturate a softmax to exactly 0, and its logarithm is taken under a target above 0",
        says="evenkeel run: step 0, phase forward, the line with `predicted.log()`, family domain; the softmax "
        "before it is 0 because logits lie hundreds apart",
        loud=True,
        plant=lambda science: replace(_raw(science), proportion=history.kl_by_log_of_softmax),
    ),
    Fault(
        name="kl_clamp_true",
        happened="the same, after a fix",
        cause="the clamp guards the target, whose zeros count for nothing; the failing logarithm is the prediction's",
        says="evenkeel run: as kl_log_zero",
        loud=True,
        plant=lambda science: replace(_raw(science), proportion=history.kl_with_the_target_clamped),
    ),
    Fault(
        name="kl_clamp_pred",
        happened="finite; a type that was suppressed once never returns",
        cause="the prediction is clamped at 1e-10, below which its slope is exactly 0",
        says="doctor: a suppressed type under a target above 0 gets no slope; the bulk's range; scores: worse than the "
        "likelihoods",
        loud=False,
        plant=lambda science: replace(_raw(science), proportion=history.kl_with_the_prediction_clamped),
    ),
    Fault(
        name="raw_bulk",
        happened="the reconstruction term is 1e9 and drowns all others",
        cause="raw bulk counts are compared with a mix of logarithms",
        says="doctor: the range of the bulk, and one term that drowns all others; scores: worse than the likelihoods",
        loud=False,
        plant=_raw,
    ),
    Fault(
        name="log_mixing",
        happened="finite and biased",
        cause="types are mixed after the logarithm; log1p(Σ p s) is not Σ p log1p(s)",
        says="doctor: beside noiseless mixtures of known shares the bulk term has a slope",
        loud=False,
        plant=lambda science: replace(science, bulk_loss=history.mixed_in_logarithms),
    ),
    Fault(
        name="no_cell_size",
        happened="every estimate is biased towards types of large cells; nobody noticed",
        cause="labels are fractions of cells, mixtures are weighted by mRNA, and nothing converts one to the other",
        says="doctor: the signature takes types of different content for alike; scores: worse than the likelihoods",
        loud=False,
        plant=lambda science: replace(science, content=history.all_cells_alike),
    ),
    Fault(
        name="free_signature",
        happened="the prototype term is NaN",
        cause="prototypes are free numbers in counts per million, and log1p(S/100) has no value below -100",
        says="evenkeel run: step 0, phase forward, the line with `torch.log1p(prototypes / 100)`, family domain",
        loud=True,
        plant=lambda science: replace(
            science,
            signature=history.FreePrototypes,
            log_view=history.log_of_hundredths,
            bulk_loss=history.linear_beside_linear,
        ),
    ),
    Fault(
        name="unbounded_logvar",
        happened="the divergence overflows",
        cause="exp of a log-variance that nothing bounds, with cells that are hundreds instead of ones",
        says="evenkeel run: step 0, phase forward, exp of the log-variance or what it overflows in next, family range",
        loud=True,
        plant=lambda science: replace(science, bounded=history.unbounded, cell_view=history.without_logarithm),
    ),
    Fault(
        name="label_draw",
        happened="scores stop improving a little too early",
        cause="the truth is the Dirichlet draw, not the cells that were drawn from it",
        says="validation: which row of which file is no share of so many cells; exit status 4",
        loud=False,
        plant=lambda science: replace(science, labels=history.draw_of_the_dirichlet),
    ),
    Fault(
        name="leaky_split",
        happened="validation never sees overfitting",
        cause="mixtures to train, to choose and to judge by are made of the same cells",
        says="validation: which cells are in two splits; exit status 4",
        loud=False,
        plant=lambda science: replace(science, parts=history.all_cells_everywhere),
    ),
    Fault(
        name="nan_print_only",
        happened="training completed successfully, best file val_loss=nan",
        cause="bad losses are printed and nothing else; every comparison with NaN is false",
        says="evenkeel run: as kl_log_zero; without it the checkpoint is refused, exit status 4",
        loud=True,
        plant=lambda science: replace(_raw(science), proportion=history.kl_by_log_of_softmax, watched=False),
    ),
    Fault(
        name="dead_head",
        happened="finite, and no better than a constant",
        cause="a head without a gradient says the same of every sample",
        says="doctor: networks get no gradient, estimates do not vary; scores: skill not above 0",
        loud=False,
        plant=lambda science: replace(science, emitted=history.nothing),
    ),
    Fault(
        name="stale_npy",
        happened="a model trained on the samples of last month",
        cause="files are told apart by looking at their dates",
        says="the manifest: which file, which two hashes; exit status 4",
        loud=False,
        plant=lambda science: replace(science, stored=history.stale_file),
    ),
    Fault(
        name="gene_shuffle",
        happened="a model that works, on its own data",
        cause="genes of the bulk stand in another order than the reference's",
        says="the manifest: from which gene on; exit status 4",
        loud=False,
        plant=lambda science: replace(science, stored=history.shuffled_genes),
    ),
    Fault(
        name="zero_total_row",
        happened="a failed sample was copied through without being normalised",
        cause="a division by its sum of 0 was skipped",
        says="validation: which row of which file; exit status 4",
        loud=False,
        plant=lambda science: replace(science, stored=history.sample_without_counts),
    ),
    Fault(
        name="cli_drop",
        happened="options changed nothing",
        cause="they were parsed and never copied",
        says="doctor: which options were given and not used",
        loud=False,
        plant=lambda science: replace(science, configured=history.half_of_the_options),
    ),
)
