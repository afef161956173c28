"""The settings of a run: one schema for Python, YAML and the command line.

A value comes from the schema's defaults, a recipe, a YAML file or a flag, each overriding the one before; where each
came from is kept beside it, and what was measured or derived (network size, items) is written back as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .foundations import yamlfile
from .foundations.errors import UserError, unknown

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Options = dict[str, float | int | bool | list[float]]


class Section(BaseModel):
    """A part of the settings; keys it does not know are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Section):
    """What to learn from."""

    source: str | None = Field(None, description="a folder, a file, or the name of a built-in set")
    kind: Literal["series"] | None = Field(None, description='"series": read it as such; by the data if absent')
    size: Count | None = Field(None, description="side of the pictures; by the data's rule if absent")
    channels: Count | None = Field(None, description="1 (grey) or 3 (colour); by the data if absent")
    labels: str | None = Field(None, description="a csv with the columns file and label")
    conditions: dict[str, str] = Field(
        default_factory=dict,
        description="kind of a column, by its name: class, tags, vector, text, items; none: unused",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="of tables: kind of a column, by its name: number, integer, date, category; left out: unused",
    )
    text_model: str | None = Field(
        None, description="folder of a transformers model that reads texts; learned if absent"
    )
    holdout: Fraction = Field(0.1, description="fraction of the items held out, by hash")
    canaries: int = Field(0, ge=0, description="marked items to put in 1, 10 and 100 times in turn, for an audit")
    shadow: tuple[int, int] | None = Field(
        None, description="k, n: of n models, each item is learned by half: the k-th"
    )
    flip: bool = Field(False, description="mirror pictures at random while training")
    symbols: str | None = Field(None, description='of texts: "characters", "bytes", "pieces" or "500-pieces"')
    length: Count | None = Field(
        None,
        description="of texts: symbols of the longest item; of series in a csv: steps of the windows it is cut into",
    )
    missing: bool = Field(False, description="of series: values may be missing (NaN, ?, empty cells)")
    cut: str | None = Field(None, description='of a text file: "lines" or "windows"')


class ProcessSettings(Section):
    """How data turn to noise, and what the loss weighs."""

    kind: str = Field(
        "gaussian", description="noise of numbers; of symbols absorbing, uniform, marginal or a chain, as d3pm-band"
    )
    options: Options = Field(default_factory=dict, description="of a chain its steps and width, of marginal its law")
    schedule: str = Field("edm", description="a name among the schedules, or of symbols among the survivals")
    schedule_options: Options = Field(default_factory=dict)
    sigma_data: Positive | None = Field(None, description="the data's standard deviation; measured if absent")
    target: str = Field("edm", description="what the network predicts")
    weighting: str = Field("edm", description="the loss's weight")
    learned_variance: bool = Field(False, description="learn the reverse step's variance too, by the hybrid loss")
    density: str = Field("log-normal", description="the law of training times")
    density_options: Options = Field(default_factory=dict)


class NetworkSettings(Section):
    """The network; what is absent follows the rule for the data's shape and the budget."""

    kind: str | None = None
    width: Count | None = None
    multipliers: tuple[Count, ...] | None = None
    blocks: Count | None = None
    patch: Count | None = None
    attention: tuple[int, ...] | None = None
    head_width: Count | None = None
    dropout: Fraction | None = None
    frequencies: int | None = None
    tied: bool | None = Field(None, description="of symbols: one table for their embeddings and their logits")
    energy: bool | None = Field(None, description="the network gives the gradient of an energy, which is then known")


class AutoencoderSettings(Section):
    """An autoencoder's code and law; what is absent follows its kind and the data. Diffusion ignores it, but for latent
    diffusion, where it describes the first stage."""

    source: str | None = Field(None, description="latent: the run or model of the first stage; trained if absent")
    share: Positive = Field(0.4, lt=1, description="latent: part of the budget for a first stage that is trained")
    latent: Count | None = Field(None, description="values of the code at each position, or of the vector where flat")
    flat: bool | None = Field(None, description="one vector for an item, not a grid")
    conditional: bool | None = Field(None, description="the networks know the label; if absent, where the code is flat")
    law: str | None = Field(None, description='of x given its code: "logistic" (8-bit pictures) or "normal"')
    components: Count = Field(1, description="of a mixture of logistics")
    beta: float = Field(1.0, ge=0, description="vae: the divergence's weight; 1 is the bound on log p(x)")
    free_bits: float = Field(0.0, ge=0, description="vae: nats of each latent value that cost nothing")
    codes: Count = Field(256, description="vq: entries of the code book")
    commitment: float = Field(0.25, ge=0, description="vq: weight of the distance to the codes")
    levels: tuple[Count, ...] = Field((8, 8, 8), description="fsq: levels of each channel")


class EnergySettings(Section):
    """How an energy model learns. Other kinds of model ignore it."""

    method: str = Field("cd", description='"cd", contrastive divergence, or "nce", noise-contrastive estimation')
    spread: Positive = Field(1.5, description="of the normal law that is tilted, over that of the data")
    chains: Count = Field(4096, description="cd: how many persistent chains there are")
    moves: Count = Field(10, description="cd: moves of a chain each time it is used")
    restart: Fraction = Field(0.02, description="cd: how often a chain begins anew")
    penalty: float = Field(1e-3, ge=0, description="cd: weight on the potential's square")
    noise: Count = Field(4, description="nce: draws of noise for each item")


class TrainingSettings(Section):
    """How long and how to learn."""

    budget: str = Field("10m", description='"10m", "200k-items" or "40-epochs"')
    batch_size: Count = 128
    accumulate: Count = Field(1, description="micro-batches in one step")
    lr: Positive = Field(2e-3, description="peak learning rate")
    warmup: Fraction = Field(0.05, description="fraction of the run over which the learning rate rises")
    weight_decay: float = Field(0.0, ge=0)
    beta2: Fraction = 0.99
    clip: Positive = Field(1.0, description="largest norm of the gradient")
    ema: float = Field(
        0.05, ge=0, le=0.28, description="width of the weights' average, as a fraction of the run so far"
    )
    uncertainty: bool = Field(False, description="learn the loss's size at each noise level, and divide by it")
    label_dropout: Fraction = Field(0.1, description="how often a label is hidden, for guidance")
    precision: str = Field("auto", description='"float32", "bfloat16", or "auto": bfloat16 where it is measured faster')
    compile: bool = False
    save_every: Positive = Field(60.0, description="seconds between checkpoints")
    keep: Count = Field(3, description="checkpoints kept, at least 2")
    pictures: int = Field(8, ge=0, description="how many sample grids are made along the way")
    seed: int = 0


class SamplingSettings(Section):
    """The defaults that travel with the model."""

    solver: str = "dpmpp-2m"
    steps: Count = 20
    grid: str = "karras"
    guidance: float = 1.0
    guidance_interval: tuple[float, float] | None = Field(None, description="levels of sigma/alpha where guidance acts")
    guidance_kind: str = Field("classifier-free", description="what becomes of it: also rescaled or projected")


class Config(Section):
    """All settings of one run."""

    recipe: str = "custom"
    kind: str = Field("diffusion", description="what is trained: diffusion, vae, vq or fsq")
    data: DataSettings = DataSettings()
    process: ProcessSettings = ProcessSettings()
    network: NetworkSettings = NetworkSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()
    energy: EnergySettings = EnergySettings()
    training: TrainingSettings = TrainingSettings()
    sampling: SamplingSettings = SamplingSettings()


@dataclass(frozen=True)
class Resolved:
    """Settings and, for each dotted key, where its value came from."""

    config: Config
    provenance: dict[str, str]

    def with_values(self, source: str, values: Mapping[str, Any]) -> Resolved:
        """The settings with some dotted keys replaced by what `source` found."""
        return resolve([("", self.config.model_dump()), (source, nested(values))], provenance=self.provenance)


def resolve(
    layers: Sequence[tuple[str, Mapping[str, Any]]], *, provenance: Mapping[str, str] | None = None
) -> Resolved:
    """Merges layers of nested settings, later ones over earlier, and validates the result.

    Args:
        layers: (where it came from, nested values). Options of a schedule or a density add up over the layers; a layer
            that names another schedule or density starts them anew.

    Raises:
        UserError: a key that does not exist (with the nearest one) or a value out of range, with its source.
    """
    merged: dict[str, Any] = {}
    origin = dict(provenance or {})
    defaults = dict(_flat(Config().model_dump(), Config))
    for source, values in layers:
        flat = _flat(values, Config)
        for key, value in flat:
            options = f"{key}_options"
            if options in defaults and value != _get(merged, key, defaults[key]):
                _put(merged, options, {})  # those of another name would only be refused
        for key, value in flat:
            _put(merged, key, value)
            if source:
                origin[key] = source
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        raise _teaching(error, origin) from None
    complete = {key: origin.get(key, "default") for key, _ in _flat(config.model_dump(), Config)}
    return Resolved(config, complete)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys to nested dictionaries.

    >>> nested({"training.lr": 1, "recipe": "digits"})
    {'training': {'lr': 1}, 'recipe': 'digits'}
    """
    out: dict[str, Any] = {}
    for key, value in values.items():
        _put(out, key, value)
    return out


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        if not isinstance(tree.get(part), dict):
            tree[part] = {}
        tree = tree[part]
    tree[last] = dict(value) if isinstance(value, Mapping) else value


def _get(tree: Mapping[str, Any], key: str, absent: Any) -> Any:
    for part in key.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return absent
        tree = tree[part]
    return tree


def _sections() -> dict[str, type[Section]]:
    return {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }


def keys() -> list[str]:
    """Every dotted key of the schema."""
    return [key for key, _ in _flat(Config().model_dump(), Config)]


def _flat(values: Mapping[str, Any], schema: type[Section]) -> list[tuple[str, Any]]:
    """(dotted key, value) down to the schema's leaves; keys it does not know are refused here."""
    out: list[tuple[str, Any]] = []
    sections = _sections() if schema is Config else {}
    for name, value in values.items():
        if name not in schema.model_fields:
            raise _unknown_key(str(name), schema)
        if name in sections:
            if not isinstance(value, Mapping):
                raise UserError(
                    f"{name} is a section with the keys {', '.join(sections[name].model_fields)}; got {value!r}"
                )
            out.extend((f"{name}.{key}", leaf) for key, leaf in _flat(value, sections[name]))
        elif name.endswith("_options") and isinstance(value, Mapping) and value:
            out.extend((f"{name}.{key}", leaf) for key, leaf in value.items())
        else:
            out.append((name, value))
    return out


def _unknown_key(name: str, schema: type[Section]) -> UserError:
    if schema is Config:
        elsewhere = [f"{s}.{k}" for s, c in _sections().items() for k in c.model_fields]
        exact = [key for key in elsewhere if key.split(".")[1] == name]
        if exact:
            return UserError(f"unknown setting {name!r}; did you mean {exact[0]!r}?")
        return unknown("setting", name, schema.model_fields)
    section = next(key for key, value in _sections().items() if value is schema)
    return unknown(f"setting in {section}", name, schema.model_fields)


def _teaching(error: ValidationError, origin: Mapping[str, str]) -> UserError:
    lines: dict[str, str] = {}
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        key = next((k for k in origin if where == k or where.startswith(k + ".")), where)
        source = f" (from {origin[key]})" if key in origin else ""
        # Where several types would do, each tells of its own failure: the first one is enough.
        lines.setdefault(key, f"{key} = {problem['input']!r}{source}: {problem['msg'].lower()}")
    return UserError("; ".join(lines.values()))


def parse_setting(text: str) -> tuple[str, Any]:
    """Reads "training.lr=0.001" into a key and a plain value.

    Raises:
        UserError: no equals sign, or a value that is not YAML.
    """
    import yaml

    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set takes key=value, got {text!r}; for example --set training.lr=0.001")
    try:
        yamlfile.check(value)
        parsed = yaml.safe_load(value)
    except UserError as error:
        raise UserError(f"--set {key}: {error}") from None
    except yaml.YAMLError:
        raise UserError(f"--set {key}: cannot read the value {value!r}; quote it as YAML would") from None
    # YAML 1.1 takes 1e-3 for a string: what reads as a number is meant as one.
    if isinstance(parsed, str):
        with suppress(ValueError):
            parsed = float(parsed)
    return key.strip(), parsed
