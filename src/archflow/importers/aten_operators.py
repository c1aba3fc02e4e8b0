"""What each torch operator is in the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

from archflow.importers import aten_layers as layers
from archflow.importers import aten_rules as rules
from archflow.importers.aten_calls import Call
from archflow.importers.aten_rules import Translation
from archflow.importers.aten_translator import AtenTranslator
from archflow.importers.vocabulary import NEGATE, unknown_operation

_Rule = str | Translation  # a kind, for operators all of whose operands are data

VALUE_READERS = frozenset({"item", "_local_scalar_dense"})
"""Operators of which a tensor's value becomes a number of the program."""


def translate(to: AtenTranslator, call: Call) -> None:
    """Add one call to the graph of a network.

    Raises:
        InvalidArchitectureError: The network has too many operators.
    """
    rule = _LIBRARIES.get(call.library, {}).get(call.name)
    if rule is None and call.library == "aten":
        rule = next((kind for start, kind in _FAMILIES.items() if call.name.startswith(start)), None)
    if rule is None:
        to.put(call, unknown_operation(call.library, call.name), to.inputs(call))
    elif isinstance(rule, str):
        to.put(call, rule, to.data(call))
    else:
        rule(to, call)
    if call.is_view:
        to.share(call, whole=rule is rules.view)
    if call.in_place:
        to.spread(call)


def _alike(kinds: Mapping[_Rule, str]) -> dict[str, _Rule]:
    return {operator: rule for rule, operators in kinds.items() for operator in operators.split()}


_JOINS: Mapping[_Rule, str] = {
    rules.all_inputs("add"): "add",
    rules.all_inputs("subtract"): "sub subtract",
    rules.all_inputs("subtract", swap=True): "rsub",
    rules.all_inputs("multiply"): "mul multiply",
    rules.all_inputs("divide"): "div divide true_divide floor_divide truediv floordiv",
}

_ALIKE: Mapping[_Rule, str] = {
    "compare": "eq ne lt le gt ge isnan isinf isfinite isclose equal",
    "logical": "logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor "
    "bitwise_not __and__ __or__ __xor__",
    "remainder": "remainder fmod mod",
    NEGATE: "neg negative",
}

_OPERATORS: dict[str, _Rule] = _alike(
    {
        **_JOINS,
        **_ALIKE,
        rules.view: "view reshape _unsafe_view _reshape_alias flatten unflatten ravel transpose t permute "
        "movedim moveaxis swapaxes swapdims numpy_T mT mH adjoint squeeze unsqueeze expand expand_as "
        "broadcast_to view_as reshape_as atleast_1d atleast_2d atleast_3d contiguous clone detach alias "
        "positive lift_fresh lift_fresh_copy resolve_conj resolve_neg to _to_copy type_as to_dense "
        "view_as_real view_as_complex item _local_scalar_dense pin_memory "
        "dropout feature_dropout alpha_dropout feature_alpha_dropout native_dropout "
        "pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
        "replication_pad2d replication_pad3d _pad_circular pixel_shuffle pixel_unshuffle channel_shuffle "
        "native_channel_shuffle roll flip fliplr flipud rot90 quantize_per_tensor quantize_per_channel "
        "quantize_per_tensor_dynamic dequantize fake_quantize_per_tensor_affine "
        "fake_quantize_per_channel_affine int_repr",
        rules.copied: "copy",
        rules.sizes_only: "zeros ones full empty zeros_like ones_like full_like empty_like new_zeros "
        "new_ones new_full new_empty new_empty_strided empty_strided empty_permuted eye arange range "
        "linspace logspace scalar_tensor rand randn randint randperm rand_like randn_like randint_like "
        "tril_indices triu_indices hann_window sym_size sym_numel sym_stride sym_storage_offset size "
        "numel fill zero uniform exponential",
        rules.random: "bernoulli multinomial poisson normal",
        rules.nothing: "_assert_async _assert_scalar _assert_tensor_metadata sym_constrain_range "
        "sym_constrain_range_for_size _functional_assert_async",
        # Linear maps
        layers.convolution: "conv1d conv2d conv3d convolution _convolution conv_transpose1d conv_transpose2d "
        "conv_transpose3d",
        layers.linear: "linear",
        layers.matmul: "matmul mm bmm mv dot vdot inner linalg_matmul",
        layers.added_matmul: "addmm baddbmm addmv",
        layers.einsum: "einsum",
        rules.named("bilinear", "input1", "input2", "weight", "bias"): "bilinear",
        layers.embedding: "embedding embedding_bag _embedding_bag _embedding_bag_forward_only",
        # Sequences
        layers.attention: "scaled_dot_product_attention _scaled_dot_product_flash_attention "
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_efficient_attention "
        "_scaled_dot_product_cudnn_attention _scaled_dot_product_fused_attention_overrideable "
        "_scaled_dot_product_attention_math",
        layers.recurrent("lstm"): "lstm",
        layers.recurrent("gru"): "gru",
        layers.recurrent("rnn"): "rnn_tanh rnn_relu",
        layers.cell("lstm"): "lstm_cell",
        layers.cell("gru"): "gru_cell",
        layers.cell("rnn"): "rnn_tanh_cell rnn_relu_cell",
        # Normalisations
        rules.named("batch_norm", "input", "weight", "bias"): "batch_norm native_batch_norm cudnn_batch_norm "
        "_native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update "
        "_batch_norm_no_update",
        rules.named("layer_norm", "input", "weight", "bias"): "layer_norm native_layer_norm",
        rules.named("group_norm", "input", "weight", "bias", groups="num_groups"): "group_norm",
        rules.named("group_norm", "input", "weight", "bias", groups="group"): "native_group_norm",
        layers.instance_norm: "instance_norm",
        rules.named("rms_norm", "input", "weight"): "rms_norm _fused_rms_norm",
        # Activations
        "relu": "relu",
        "relu6": "relu6",
        "leaky_relu": "leaky_relu rrelu rrelu_with_noise",
        rules.named("prelu", "self", "weight"): "prelu _prelu_kernel",
        "elu": "elu celu",
        "selu": "selu",
        "gelu": "gelu",
        "silu": "silu",
        "mish": "mish",
        "hard_swish": "hardswish",
        "hard_sigmoid": "hardsigmoid",
        "sigmoid": "sigmoid special_expit",
        "log_sigmoid": "log_sigmoid log_sigmoid_forward",
        "tanh": "tanh",
        "softplus": "softplus",
        "softmax": "softmax _softmax special_softmax _safe_softmax",
        "log_softmax": "log_softmax _log_softmax special_log_softmax",
        "threshold": "threshold hardshrink softshrink",
        rules.clip: "clamp clip clamp_min clamp_max hardtanh",
        rules.gated: "glu",
        # Pools and reductions
        rules.pool("max_pool"): "max_pool1d max_pool2d max_pool3d max_pool1d_with_indices "
        "max_pool2d_with_indices max_pool3d_with_indices",
        rules.pool("average_pool"): "avg_pool1d avg_pool2d avg_pool3d",
        rules.adaptive("max_pool"): "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d",
        rules.adaptive("average_pool"): "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
        "_adaptive_avg_pool2d _adaptive_avg_pool3d",
        rules.mean: "mean",
        rules.variance: "var std var_mean std_mean",
        "sum": "sum nansum",
        "product": "prod",
        "reduce_max": "amax any",
        "reduce_min": "amin all",
        rules.extreme("maximum", "reduce_max"): "max maximum fmax",
        rules.extreme("minimum", "reduce_min"): "min minimum fmin",
        rules.named("norm", "self", exponent="ord"): "linalg_vector_norm linalg_norm",
        rules.named("norm", "self", exponent="p"): "norm",
        "log_sum_exp": "logsumexp special_logsumexp",
        "cumulative": "cumsum cumprod cummax cummin logcumsumexp",
        "argmax": "argmax argmin",
        "top_k": "topk sort argsort msort kthvalue",
        # Joins
        rules.product_and_sum("multiply"): "addcmul",
        rules.product_and_sum("divide"): "addcdiv",
        rules.between: "lerp",
        rules.power: "pow square float_power",
        rules.all_inputs("concatenate"): "cat concat concatenate stack hstack vstack dstack column_stack",
        "where": "where masked_fill",
        # Number by number
        "absolute": "abs absolute",
        "sign": "sign sgn",
        "exp": "exp exp2 expm1 special_exp2 special_expm1",
        "log": "log log2 log10 log1p special_log1p",
        "sqrt": "sqrt",
        rules.over_root: "rsqrt",
        "reciprocal": "reciprocal",
        "round": "round floor ceil trunc fix",
        "erf": "erf special_erf",
        "sine": "sin cos tan asin acos atan sinh cosh asinh acosh atanh arcsin arccos arctan atan2 "
        "arctan2 sinc",
        # Places
        rules.view_of_part: "select slice narrow diagonal",
        rules.pieces: "split split_with_sizes unsafe_split unsafe_split_with_sizes chunk unsafe_chunk "
        "tensor_split unbind hsplit vsplit dsplit",
        rules.gather: "index _unsafe_index index_select gather take take_along_dim",
        "scatter": "scatter scatter_add scatter_reduce index_put _unsafe_index_put index_copy index_add "
        "index_fill masked_scatter slice_scatter select_scatter diagonal_scatter",
        rules.tile: "repeat tile repeat_interleave",
        "triangle": "tril triu",
        "one_hot": "one_hot",
        "grid_sample": "grid_sampler grid_sampler_2d grid_sampler_3d",
        "unpool": "max_unpool2d max_unpool3d",
        "fold": "unfold im2col col2im",
        "fourier": "stft istft",
        "non_zero": "nonzero nonzero_static nonzero_numpy argwhere masked_select unique_consecutive "
        "unique_dim _unique _unique2",
    }
)

_FAMILIES = {"upsample_": "resize", "_upsample_": "resize", "fft_": "fourier", "_fft_": "fourier"}

_LIBRARIES: Mapping[str, Mapping[str, _Rule]] = {
    "aten": _OPERATORS,
    "python": _alike({**_JOINS, **_ALIKE, rules.nothing: "_assert", "power": "pow"}),
    "torchvision": {
        "nms": "select_boxes",
        "deform_conv2d": layers.deformable,
        "roi_align": "roi_pool",
        "roi_pool": "roi_pool",
        "ps_roi_align": "roi_pool",
        "ps_roi_pool": "roi_pool",
    },
    "higher_order": {
        "cond": rules.everything("if"),
        **dict.fromkeys(
            ("while_loop", "scan", "map", "map_impl", "associative_scan"), rules.everything("loop")
        ),
        "flex_attention": layers.attention,
    },
}
