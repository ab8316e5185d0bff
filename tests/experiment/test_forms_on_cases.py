"""Stable forms on public failures: which mends which, so that the step and the one after it are healthy."""

import pytest
from tests.experiment.case_runs import case_of, nonfinite_cases, run

from evenkeel.core.place import Place
from evenkeel.experiment.stable_form import StableForm, search_of, stable_forms

# case, the origin's operation, the form that comes first, words of the right remedy
MENDED = (
    ("g02_xor", "log", "logsigmoid", "binary cross-entropy on the logits"),
    ("g04_softmax_digits", "log", "log_softmax", "cross-entropy on the logits"),
    ("g06_rbm", "exp", "softplus", "softplus(x)"),
    ("g12_unet_pixels", "exp", "sigmoid of a difference", "the softmax; of two, the sigmoid"),
    ("g14_vae_sigma", "sqrt", "exp of half", "exp(x / 2)"),
    ("g16_value_iteration", "log", "log_softmax", "cross-entropy on the logits"),
    ("g18_keep_prob", "div", "zeros over 0", "all zeros"),
    ("p02_compress_counts", "log2", "double where", "a second where, inside"),
    ("p04_learned_threshold", "div", "double where", "a second where, inside"),
    ("p06_claim_rates", "exp", "double where", "a second where, inside"),
    ("p08_sharpness_aware", "div", "ops.divide", "where(size > 0, size, 1)"),
    ("p10_variance_term", "sqrt", "std", "take std"),
    ("p12_alignment", "logaddexp", "ops.logaddexp", "slope is 0 where both are -inf"),
    ("p14_padded_attention", "softmax", "attention of closed rows", "open one key"),
    ("p18_answer_tokens", "nll_loss_forward", "no label", "number of labels that count, at least 1"),
    ("t02_pixels", "log", "log_softmax", "cross-entropy on the logits"),
    ("t06_heart", "log", "logsigmoid", "on the logits"),
    ("u02_unit_vectors", "rsqrt", "bound inside", "clamp the operand"),
    ("u04_magnitude", "pow", "ops.sqrt", "eps inside the root"),
    ("u06_quaternion", "sqrt", "ops.quaternion_of_rotation", "largest of trace and diagonal"),
    ("u08_rotation_log", "div", "ops.rotation_log_factor", "series near 0"),
    ("u10_sphere_points", "acos", "ops.sphere_distance", "atan2 of the difference and the sum"),
    ("u12_poincare", "acosh", "ops.acosh1p", "2·asinh"),
    ("u16_squashed_actions", "atanh", "u itself", "keep the number"),
    ("u18_masked_entropy", "mul", "filled log", "fill the log with 0"),
    ("u20_latent_noise", "exp", "bounded exponent", "bound the exponent before exp"),
    ("u24_multi_similarity", "exp", "softplus of logsumexp", "softplus(logsumexp(x))"),
    ("u26_box_shape", "div", "atan2", "atan2(a, b)"),
    ("u28_salient_objects", "div", "overlap of nothing", "where(union > 0, union, 1) and take 1"),
    ("u30_no_positives", "mean", "mean of nothing", "a count of at least 1"),
    ("u32_cox", "div", "ops.divide", "nothing in nothing is 0"),
    ("u34_triplets", "div", "count at least 1", "clamp(min=1)"),
    ("u36_silog", "sqrt", "two-pass std", "std(correction=0)"),
    ("u38_feature_scaling", "div", "ops.divide", "where(size > 0, size, 1)"),
    ("u44_half_mask", "add", "softmax of closed rows", "weights of 0"),
    ("u46_additive_mask", "mul", "softmax of closed rows", "weights of 0"),
    ("u48_bfloat_labels", "log1p", "logsigmoid", "on the logits"),
    ("u50_half_degrees", "reciprocal", "share of a total", "reciprocal of where(x == 0, 1, x)"),
    ("u52_orthogonal_updates", "div", "ops.divide", "nothing in nothing is 0"),
)

# What is wrong there is no operation that has a stable form.
NOT_MENDED = {
    "g08_vgae_kl": "the formula is wrong: a log where an exp belongs",
    "g10_graph_attention": "the formula is wrong: a log where an exp belongs",
    "p16_principal_frames": "the loss depends on vectors that are not determined",
    "p20_clip_outlier": "the gradient is infinite before it is clipped",
    "p22_weight_norm": "the parameter has no direction: it wants another start",
    "t04_line": "the rate is too large",
    "u14_cosine_attention": "the scale wants to be learnt as its logarithm",
    "u40_depth_targets": "nan in the data",
    "u42_fresh_parameters": "a parameter that nobody initialised",
    "u56_word_model": "the rate is too large",
}


def changes(name: str, function: str) -> tuple[StableForm, ...]:
    """All forms for the origin of a case."""
    case = case_of(name, function)
    return stable_forms(case, lambda: place_of(name, function))


def place_of(name: str, function: str) -> Place | None:
    """The line of the origin."""
    origin = case_of(name, function).origin
    return None if origin is None else origin.operation.place


def test_every_case_is_spoken_for() -> None:
    """39 of the 49 cases that become non-finite have a form; the others a reason."""
    assert {name for name, *_ in MENDED} | set(NOT_MENDED) == nonfinite_cases()
    assert (len(MENDED), len(NOT_MENDED)) == (39, 10)


@pytest.mark.parametrize(("name", "function", "form", "words"), MENDED, ids=[row[0] for row in MENDED])
def test_the_form_mends_the_step_and_the_next(name: str, function: str, form: str, words: str) -> None:
    """It takes effect; loss, gradients and parameters are finite; and it names the right remedy."""
    (change,) = (change for change in changes(name, function) if change.form.name == form)
    seen = run(name, change)
    assert change.took_effect
    assert seen.healthy[-2:] == [True, True]
    assert words in change.remedy


@pytest.mark.parametrize(("name", "function", "form"), [row[:3] for row in MENDED if row[0].startswith("u0")])
def test_the_search_finds_that_form_first(name: str, function: str, form: str) -> None:
    """In one repetition, in which the step fails as it did."""
    search = search_of(case_of(name, function), lambda: place_of(name, function))
    assert search is not None
    assert not all(run(name, search).healthy[-2:])
    assert search.found[0].form.name == form


@pytest.mark.parametrize("name", ["p16_principal_frames", "u56_word_model"])
def test_no_form_is_known(name: str) -> None:
    """For operations that no form mends."""
    function = {"p16_principal_frames": "linalg_svd", "u56_word_model": "addmm"}[name]
    assert search_of(case_of(name, function), lambda: None) is None
