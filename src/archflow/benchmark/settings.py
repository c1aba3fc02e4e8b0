"""The settings of a method: defaults of its encoder and space, replaced by what a protocol says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from archflow.encoders import ENCODERS, EncoderConfig
from archflow.errors import short, unknown_name
from archflow.flow import SurrogateConfig
from archflow.graphs import DEFAULT_FORM, FORMS
from archflow.predictors import FineTuneConfig
from archflow.predictors.methods import method_named
from archflow.pretrain import PretrainConfig, parse_objectives
from archflow.spaces.words import read_number, unknown
from archflow.spaces.yaml_parts import Part
from archflow.training import TrainingConfig

JsonDict = dict[str, Any]

SECTIONS = ("form", "sizes", "pretraining", "fine_tuning")
"""What a protocol, a table, an encoder and a method can set; the later wins."""

NO_PRETEXT = "none"
PUBLISHED_PRETEXT = "flow+proxy"

_OF_ITS_OWN = {"encoder", "form", "objectives", "seed", "training", "surrogate"}  # set elsewhere


def read_sections(entries: Mapping[str, Part]) -> JsonDict:
    """Read the sections that are there, as nested plain values.

    Raises:
        UsageError: A key or a value is none of the section's; names the file and the line.
    """
    found: JsonDict = {}
    if "form" in entries:
        found["form"] = read_form(entries["form"])
    if "sizes" in entries:
        found["sizes"] = _read(entries["sizes"], "sizes", EncoderConfig(), ("width", "layers", "dropout"))
    if "fine_tuning" in entries:
        found["fine_tuning"] = _read_training(entries["fine_tuning"], "fine_tuning", FineTuneConfig())
    if "pretraining" in entries:
        found["pretraining"] = _read_training(entries["pretraining"], "pretraining", PretrainConfig())
    return found


def read_form(part: Part) -> str:
    """Read the name of a form.

    Raises:
        UsageError: There is no such form.
    """
    form = part.text("form")
    if form not in FORMS:
        part.fail(unknown("form", form, FORMS))
    return form


def merged(*layers: JsonDict) -> JsonDict:
    """Return nested settings in which the later layers win."""
    result: JsonDict = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            both = isinstance(value, Mapping) and isinstance(below, Mapping)
            result[key] = merged(below or {}, value) if both else value
    return result


def resolve(encoder: str, pretext: str, space: str, given: JsonDict) -> JsonDict:
    """Return all settings of an encoder on a space, defaults filled in, as plain values.

    Args:
        encoder: Which encoder.
        pretext: Objectives joined by +, or "none" for an encoder trained on labels alone.
        space: Name of the search space.
        given: What the protocol sets, merged.

    Raises:
        ArchflowError: The encoder or an objective is unknown, or settings contradict each other.
    """
    if encoder not in ENCODERS:
        raise unknown_name("encoder", encoder, ENCODERS)
    form = given.get("form", DEFAULT_FORM)
    pretrained = pretext != NO_PRETEXT
    sizes = dataclasses.replace(EncoderConfig.default(encoder), **given.get("sizes", {}))
    settings: JsonDict = {
        "method": f"fgp-{encoder}" if pretrained else encoder,
        "form": form,
        "encoder": dataclasses.asdict(sizes),
        "pretraining": None,
        "fine_tuning": dataclasses.asdict(
            _with(FineTuneConfig.default(encoder, pretrained=pretrained), given.get("fine_tuning", {}))
        ),
    }
    if pretrained:
        config = dataclasses.replace(
            PretrainConfig.for_space(space, encoder, form=form),
            encoder=sizes,
            objectives=parse_objectives(pretext),
        )
        config = _with(config, given.get("pretraining", {}))
        settings["pretraining"] = {key: value for key, value in config.to_json().items() if key != "seed"}
    return settings


def resolve_plain(method: str) -> JsonDict:
    """Return the settings of a method without an encoder: there are none but its name."""
    return {"method": method_named(method).name, "form": DEFAULT_FORM, "encoder": None, "pretraining": None,
            "fine_tuning": None}  # fmt: skip


def fine_tuning_of(settings: JsonDict) -> FineTuneConfig:
    """Rebuild how to fine-tune from resolved settings."""
    value = settings["fine_tuning"]
    return FineTuneConfig(**{**value, "training": TrainingConfig(**value["training"])})


def _with(config: Any, given: JsonDict) -> Any:
    """Replace fields of a config; those of its training and surrogate by their own names."""
    own = {field.name for field in dataclasses.fields(config)}
    direct = {key: value for key, value in given.items() if key in own and key != "surrogate"}
    training = {key: value for key, value in given.items() if key not in own}
    if "surrogate" in given:
        direct["surrogate"] = dataclasses.replace(config.surrogate, **given["surrogate"])
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **training), **direct)


def _read_training(part: Part, section: str, default: FineTuneConfig | PretrainConfig) -> JsonDict:
    own = [field.name for field in dataclasses.fields(default) if field.name not in _OF_ITS_OWN]
    training = [field.name for field in dataclasses.fields(TrainingConfig)]
    nested = ("surrogate",) if isinstance(default, PretrainConfig) else ()
    entries = part.entries(section, (*training, *own, *nested))
    hints = get_type_hints(TrainingConfig) | get_type_hints(type(default))
    found: JsonDict = {}
    for key, value in entries.items():
        if key == "surrogate":
            found[key] = _read(value, key, SurrogateConfig(), ("width", "std", "alpha"))
        else:
            found[key] = read_value(value, key, hints[key])
        with value.blamed():
            _with(default, {key: found[key]})
    return found


def _read(part: Part, section: str, default: Any, keys: tuple[str, ...]) -> JsonDict:
    hints = get_type_hints(type(default))
    found: JsonDict = {}
    for key, value in part.entries(section, keys).items():
        found[key] = read_value(value, key, hints[key])
        with value.blamed():
            dataclasses.replace(default, **{key: found[key]})
    return found


def read_value(part: Part, what: str, kind: Any) -> Any:
    """Read a text as bool, int, float, one of the texts of a Literal, or None where that is allowed.

    Raises:
        UsageError: It is none of these; names the file and the line.
    """
    text = part.text(what)
    literal = get_origin(kind) is Literal
    kinds = (kind,) if literal or not get_args(kind) else get_args(kind)
    if type(None) in kinds and text == "none":
        return None
    kind = next(one for one in kinds if one is not type(None))
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            part.fail(unknown(what, text, get_args(kind)))
        return text
    if kind is bool and text in ("true", "false"):
        return text == "true"
    if kind is int and text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    if kind is float and (number := read_number(text)) is not None:
        return number
    if kind is str:
        return text
    wanted = {bool: "true or false", int: "a whole number", float: "a decimal number"}[kind]
    or_none = " or none" if type(None) in kinds else ""
    return part.fail(f"{what} must be {wanted}{or_none}, not {short(text)}")
