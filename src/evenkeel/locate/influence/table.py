"""Which rule each operation has, by its name in aten without marks of privacy and place."""

from __future__ import annotations

from evenkeel.locate.influence.convolutions import convolution, convolution_backward
from evenkeel.locate.influence.itself import itself
from evenkeel.locate.influence.letters import letters
from evenkeel.locate.influence.norms import batch_norm, group_norm, layer_norm
from evenkeel.locate.influence.sequences import recurrent_layer
from evenkeel.locate.influence.shadow import (
    Rule,
    apart,
    by_position,
    cumulated,
    elementwise,
    everything,
    halves,
    mixed,
    nothing,
    reduced,
)
from evenkeel.locate.influence.windows import adaptive_window, window
from evenkeel.locate.record import Record, Touch


def _names(text: str) -> list[str]:
    return text.split()


NO_VALUES = _names("""
    empty_like full_like new_empty new_empty_strided new_full new_ones new_zeros ones_like rand_like randint_like
    randn_like zeros_like
""")
ELEMENTWISE = _names("""
    add_relu alias_copy all_reduce allreduce bernoulli binary_cross_entropy binary_cross_entropy_backward
    binary_cross_entropy_with_logits clone complex contiguous copy detach detach_copy elu_backward expand_copy fill
    floor_divide gelu_backward hardsigmoid_backward hardswish hardswish_backward hardtanh_backward huber_loss
    huber_loss_backward l1_loss leaky_relu_backward lift_fresh lift_fresh_copy log_sigmoid_backward
    log_sigmoid_forward masked_scale mse_loss mse_loss_backward native_dropout native_dropout_backward normal poisson
    polar prelu_kernel rrelu_with_noise rrelu_with_noise_backward rrelu_with_noise_functional smooth_l1_loss
    smooth_l1_loss_backward soft_margin_loss soft_margin_loss_backward softplus_backward standard_gamma to_copy
    to_dense
""")
REDUCED = _names("""
    all amax amin aminmax any argmax argmin count_nonzero kthvalue linalg_vector_norm logsumexp max mean median min mode
    nanmedian nansum norm prod std std_mean sum var var_mean
""")
MIXED = _names("""
    argsort fft_c2c fft_c2r fft_r2c linalg_cross log_softmax log_softmax_backward_data safe_softmax softmax
    softmax_backward_data sort topk
""")
CUMULATED = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]
MOVED = _names("""
    adaptive_avg_pool2d adaptive_avg_pool2d_backward adaptive_avg_pool3d adaptive_avg_pool3d_backward avg_pool2d
    avg_pool2d_backward avg_pool3d avg_pool3d_backward block_diag cat channel_shuffle col2im
    constant_pad_nd diag_embed diagonal_backward diagonal_scatter embedding
    embedding_bag embedding_dense_backward flip gather im2col index index_add index_copy index_fill index_put
    index_put_impl index_select masked_fill masked_scatter masked_scatter_backward masked_select
    max_pool2d_with_indices_backward max_pool3d_with_indices_backward max_unpool2d max_unpool3d nll_loss2d_backward
    nll_loss2d_forward nll_loss_backward nll_loss_forward pack_padded_sequence pixel_shuffle pixel_unshuffle put
    reflection_pad1d reflection_pad1d_backward reflection_pad2d reflection_pad2d_backward reflection_pad3d
    reflection_pad3d_backward repeat replication_pad1d replication_pad1d_backward replication_pad2d
    replication_pad2d_backward replication_pad3d replication_pad3d_backward roll rot90 scatter scatter_add
    scatter_reduce select_backward select_scatter slice_backward slice_scatter split_with_sizes_copy stack take trace
    trilinear tril triu unbind_copy unfold_backward unsafe_index unsafe_index_put upsample_nearest1d
    upsample_nearest1d_backward upsample_nearest2d upsample_nearest2d_backward upsample_nearest3d
    upsample_nearest3d_backward upsample_nearest_exact1d upsample_nearest_exact1d_backward upsample_nearest_exact2d
    upsample_nearest_exact2d_backward upsample_nearest_exact3d upsample_nearest_exact3d_backward where
""")
# Their argument `self` gives a shape only.
SELF_IS_A_SHAPE = set(
    _names("""
    adaptive_avg_pool2d_backward adaptive_avg_pool3d_backward avg_pool2d_backward avg_pool3d_backward
    max_pool2d_with_indices_backward max_pool3d_with_indices_backward nll_loss_backward nll_loss2d_backward
    reflection_pad1d_backward reflection_pad2d_backward reflection_pad3d_backward replication_pad1d_backward
    replication_pad2d_backward replication_pad3d_backward
    """)
)
_ATTENTION = "query bhqd, key bhkd, value bhke, attn_mask bhqk, attn_bias bhqk -> bhqe, bhq"
_ATTENTION_BACKWARD = """
    grad_out bhqe, grad_out_ bhqe, query bhqd, key bhkd, value bhke, attn_mask bhqk, attn_bias bhqk, out bhqe,
    logsumexp bhq -> bhqf, bhkf, bhke, bhqk
"""
_MATRIX = "A ...ij, self ...ij, input ...ij -> ...*"
_SOLVE = "A ...ij, B ...jk, LU ...ij, pivots ...j, self ...ij, other ...jk, input2 ...ij, tau ...j -> ...*"
_SAMPLED = "self nc*, grad_output nc* -> nc*"
_ALONE = {
    "addbmm": "self =, batch1 bij, batch2 bjk -> ik",
    "addmm": "self =, mat1 ij, mat2 jk -> ik",
    "addmm_activation": "self =, mat1 ij, mat2 jk -> ik",
    "addmv": "self =, mat ij, vec j -> i",
    "addr": "self =, vec1 i, vec2 j -> ij",
    "affine_grid_generator": "theta n* -> n*",
    "baddbmm": "self =, batch1 bij, batch2 bjk -> bik",
    "bmm": "self bij, mat2 bjk -> bik",
    "cdist_backward": "grad ...pr, x1 ...pd, x2 ...rd, cdist ...pr -> ...pd",
    "cdist_forward": "x1 ...pd, x2 ...rd -> ...pr",
    "ctc_loss": "log_probs tnc, targets n*, input_lengths n, target_lengths n -> n, nvw",
    "ctc_loss_backward": "grad n, log_probs tnc, neg_log_likelihood n, log_alpha nvw -> xny",
    "dot": "self i, tensor i -> ",
    "grid_sampler_2d": "input nc*, grid nyxg -> ncyx",
    "grid_sampler_2d_backward": "grad_output ncyx, input nc*, grid nyxg -> nc*, nyxh",
    "grid_sampler_3d": "input nc*, grid nzyxg -> nczyx",
    "grid_sampler_3d_backward": "grad_output nczyx, input nc*, grid nzyxg -> nc*, nzyxh",
    "mm": "self ij, mat2 jk -> ik",
    "mv": "self ij, vec j -> i",
    "thnn_fused_gru_cell": "input_gates bg, hidden_gates bg, hx bg -> b*",
    "thnn_fused_lstm_cell": "input_gates bg, hidden_gates bg, cx bg -> b*",
    "vdot": "self i, other i -> ",
}
_FAMILIES: dict[str, list[str]] = {
    _ATTENTION: _names("""
        scaled_dot_product_cudnn_attention scaled_dot_product_efficient_attention scaled_dot_product_flash_attention
        scaled_dot_product_flash_attention_for_cpu scaled_dot_product_fused_attention_overrideable
    """),
    _ATTENTION_BACKWARD: _names("""
        scaled_dot_product_cudnn_attention_backward scaled_dot_product_efficient_attention_backward
        scaled_dot_product_flash_attention_backward scaled_dot_product_flash_attention_for_cpu_backward
        scaled_dot_product_fused_attention_overrideable_backward
    """),
    _MATRIX: _names("""
        cholesky cholesky_inverse linalg_cholesky_ex linalg_det linalg_eig linalg_eigh linalg_eigvals linalg_inv_ex
        linalg_ldl_factor_ex linalg_lu linalg_lu_factor_ex linalg_matrix_exp linalg_pinv linalg_qr linalg_slogdet
        linalg_svd
    """),
    _SOLVE: _names("""
        cholesky_solve linalg_householder_product linalg_lu_solve linalg_solve_ex linalg_solve_triangular
        triangular_solve
    """),
    _SAMPLED: _names("""
        upsample_bicubic2d upsample_bicubic2d_backward upsample_bilinear2d upsample_bilinear2d_backward
        upsample_linear1d upsample_linear1d_backward upsample_trilinear3d upsample_trilinear3d_backward
    """),
}
LETTERS = _ALONE | {kind: text for text, kinds in _FAMILIES.items() for kind in kinds}
_SPECIAL: dict[str, Rule] = {
    "adaptive_max_pool2d": adaptive_window,
    "adaptive_max_pool3d": adaptive_window,
    "convolution": convolution,
    "convolution_backward": convolution_backward,
    "glu": halves,
    "glu_backward": halves,
    "max_pool2d_with_indices": window,
    "max_pool3d_with_indices": window,
    "mkldnn_rnn_layer": recurrent_layer,
    "renorm": apart,
    "weight_norm_interface": apart,
    "weight_norm_interface_backward": apart,
}
_LAYER_NORMS = ["native_layer_norm", "native_layer_norm_backward", "fused_rms_norm", "fused_rms_norm_backward"]
_GROUP_NORMS = ["native_group_norm", "native_group_norm_backward"]
_BATCH_NORMS = _names("""
    batch_norm_backward batch_norm_with_update batch_norm_with_update_functional cudnn_batch_norm
    cudnn_batch_norm_backward native_batch_norm native_batch_norm_backward native_batch_norm_legit
    native_batch_norm_legit_functional native_batch_norm_legit_no_training
""")
_LISTS = ("foreach_", "fused_ad", "fused_sgd", "amp_foreach_")

RULES: dict[str, Rule] = {
    **dict.fromkeys(NO_VALUES, nothing),
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(REDUCED, reduced),
    **dict.fromkeys(MIXED, mixed),
    **dict.fromkeys(CUMULATED, cumulated),
    **dict.fromkeys(MOVED, itself),
    **{kind: letters(text) for kind, text in LETTERS.items()},
    **dict.fromkeys(_LAYER_NORMS, layer_norm),
    **dict.fromkeys(_GROUP_NORMS, group_norm),
    **dict.fromkeys(_BATCH_NORMS, batch_norm),
    **_SPECIAL,
}
_NEED_CALL = {*MOVED, *_LAYER_NORMS, *_GROUP_NORMS, *_BATCH_NORMS, *_SPECIAL}
_ALSO_ELEMENTWISE = {"where", "masked_fill"}  # without their masks


def rule_of(record: Record, read: Touch) -> Rule:
    """The rule of an operation for what it read; everything where there is none."""
    if record.kind in SELF_IS_A_SHAPE and read.name == "self":
        return nothing
    if record.kind in _ALSO_ELEMENTWISE and record.call is None:
        return elementwise
    rule = RULES.get(record.kind)
    if rule is not None:
        return rule
    if record.kind.startswith(_LISTS):
        return by_position
    return elementwise if record.pointwise else everything


def needs_call(kind: str, *, is_bad: bool) -> bool:
    """Whether the rule looks at the arguments; of a healthy result whose elements stay in place it does not."""
    return kind in _NEED_CALL and (is_bad or kind not in _ALSO_ELEMENTWISE)
