"""Which pre-trained encoder a method starts from, and whether one that is given fits it."""

from __future__ import annotations

from archflow.encoders import EncoderConfig
from archflow.errors import UsageError
from archflow.graphs import ArchitectureTable, Form, Operations
from archflow.predictors.methods import DEFAULT_ENCODER, Method, method_named
from archflow.predictors.saved import PredictorConfig
from archflow.predictors.shipped import shipped_encoder, unlabelled_architectures, within_budget
from archflow.pretrain import PretrainConfig, PretrainedEncoder, pretrain
from archflow.pretrain.encoder import require_vocabulary
from archflow.progress import Report
from archflow.protocols import Space


def find_encoder(
    space: Space,
    config: PredictorConfig,
    labelled: ArchitectureTable,
    pretraining: PretrainConfig | None,
    unlabelled: ArchitectureTable | None,
    device: str,
    report: Report,
) -> PretrainedEncoder | None:
    """Return the encoder that archflow ships for a space, or pre-train one where the method needs it.

    Those that it ships learnt the paper's pretext tasks, so a method with its own always pre-trains. A method
    that can do without an encoder gets none, unless it is told how to pre-train one.

    Args:
        space: The search space.
        config: The choices of the predictor.
        labelled: What to pre-train on where nothing else can be had.
        pretraining: How to pre-train; then no shipped encoder is taken.
        unlabelled: What to pre-train on.
        device: Where to pre-train.
        report: Progress.
    """
    method, form, seed = method_named(config.method), config.form, config.seed
    if not method.pretrained and pretraining is None:
        return None
    name = method.encoder or DEFAULT_ENCODER
    if pretraining is None and method.objectives is None:
        shipped = shipped_encoder(space, name, form)
        if shipped is not None:
            return shipped
    table = unlabelled_architectures(space, seed) if unlabelled is None else unlabelled
    if table is None:
        table = labelled
    if pretraining is None:
        wished = PretrainConfig.for_space(
            space.name, name, form=form, objectives=method.objectives, seed=seed
        )
        table, pretraining = within_budget(table, wished)
    return pretrain(space, table, pretraining, device=device, report=report)


def require_source(
    method: Method,
    form: Form,
    operations: Operations,
    *,
    encoder: PretrainedEncoder | None,
    unlabelled: ArchitectureTable | None,
    pretraining: PretrainConfig | None,
    sizes: EncoderConfig | None,
) -> None:
    """Refuse what a method cannot start from.

    Args:
        method: The method.
        form: The form of the graphs that it sees.
        operations: The vocabulary of the space.
        encoder: A pre-trained encoder.
        unlabelled: Architectures to pre-train on.
        pretraining: How to pre-train.
        sizes: The sizes of an encoder that starts afresh.

    Raises:
        CheckpointError: The encoder was trained for another vocabulary.
        UsageError: The method takes none of these, or they are for another kind of encoder or another form.
    """
    given = any(x is not None for x in (encoder, unlabelled, pretraining))
    if given and not (method.pretrained or method.takes_encoder):
        raise UsageError(
            f"method {method.name!r} does not pre-train; choose auto or one that begins with fgp, "
            "or leave out encoder, unlabelled and pretraining"
        )
    if unlabelled is not None and not method.pretrained and pretraining is None:
        raise UsageError(
            f"method {method.name!r} pre-trains only if told how; pass pretraining=, take fgp-auto, "
            "or leave out unlabelled"
        )
    if sizes is not None and (sizes.name != method.encoder or method.pretrained):
        raise UsageError(
            f"method {method.name!r} takes no sizes of encoder {sizes.name}; they are for the method "
            f"{sizes.name!r}, and for others part of the pre-training settings"
        )
    if pretraining is not None:
        _require_pretraining(pretraining, method, form, "the pre-training settings")
    if encoder is not None:
        require_vocabulary(encoder.operations, operations, "the pre-trained encoder")
        _require_pretraining(encoder.config, method, form, "the pre-trained encoder")


def _require_pretraining(config: PretrainConfig, method: Method, form: Form, where: str) -> None:
    for what, own, wanted in (("encoder", config.encoder.name, method.encoder), ("form", config.form, form)):
        if own != wanted and not (what == "encoder" and method.takes_encoder):
            raise UsageError(
                f"method {method.name} with form {form} needs {what} {wanted}, but {where} has {own}"
            )
