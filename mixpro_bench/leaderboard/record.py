"""The Record: one finished run, one file, one versioned schema."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Hashable
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeFloat, NonNegativeInt, ValidationError

from mixpro_bench.errors import UserError
from mixpro_bench.files import write_text_atomic
from mixpro_bench.leaderboard.migrations import migrate
from mixpro_bench.leaderboard.response import Response
from mixpro_bench.leaderboard.series import Axis, Series

SCHEMA_VERSION = 1
RECORD_NAME = "record.json"

Name = Annotated[str, Field(min_length=1)]
Cost = Annotated[NonNegativeFloat, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    """Base of all parts: fields that this version does not know are kept, so that reading and writing lose nothing."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)


class Method(_Part):
    """What mixed the pretraining images; for a transfer, what its upstream run used ('scratch' if there is none)."""

    name: Name
    preset: Name


class Protocol(_Part):
    """The agreed task, data and schedule a run is measured by; results of different versions are never compared."""

    name: Name
    version: NonNegativeInt


class RunCost(_Part):
    """What a run cost, all of its sessions together if it was resumed.

    Attributes:
        wall_s: Seconds from the start of training to its end, validation included.
        train_s: The same without validation.
        images_per_s: Training images of all processes per second of ``train_s``.
        peak_memory_mb: MiB; device memory that torch allocated, or the process's resident set without an accelerator.
        devices: Number of processes, one device each.
    """

    wall_s: Cost
    train_s: Cost
    images_per_s: Cost | None = None
    peak_memory_mb: Cost | None = None
    devices: Annotated[int, Field(ge=1)] = 1


class LoadAudit(_Part):
    """What the Handover found when it put pretrained weights into a transfer model.

    Attributes:
        matched: Backbone parameters taken from the checkpoint.
        missing: Backbone parameters the checkpoint did not have.
        unexpected: Entries of the checkpoint that found no place.
        total: Backbone parameters that should have been found.
        share: ``matched / total``, 0 to 1.
        weights: Which weights were taken, 'raw' or 'ema'.
    """

    matched: NonNegativeInt
    missing: NonNegativeInt
    unexpected: NonNegativeInt
    total: NonNegativeInt
    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    weights: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every backbone parameter came from the checkpoint."""
        return self.missing == 0 and self.share >= 1


class Provenance(_Part):
    """Where a result came from.

    Attributes:
        teachers: SHA-256 of the weights of each network that taught beside the training, by its name.
    """

    commit: str | None = None
    dirty: bool = False
    config_sha256: str | None = None
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None
    upstream_sha256: str | None = None
    data_fingerprint: str | None = None
    packages: dict[str, str] = Field(default_factory=dict)
    device: str | None = None
    load_audit: LoadAudit | None = None
    teachers: dict[str, str] = Field(default_factory=dict)


class Model(_Part):
    """The size of what was trained.

    Attributes:
        parameters: Parameters of the model with its heads, without what only serves its training, such as a teacher.
        macs: Multiply-accumulates of one forward pass of the backbone on one image.
        image_size: Height and width of that image in pixels.
    """

    parameters: NonNegativeInt | None = None
    macs: Cost | None = None
    image_size: tuple[NonNegativeInt, NonNegativeInt] | None = None


class Best(_Part):
    """The best validation of a run, which need not be that of its last checkpoint.

    Attributes:
        metric: What it was the best by: the main metric of the stage, as the evaluator names it.
        value: That metric there.
        at: Epochs or iterations before it.
        axis: Which of the two.
        metrics: All metrics of that validation.
    """

    metric: Name
    value: FiniteFloat
    at: NonNegativeInt
    axis: Axis
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)


class Record(_Part):
    """One finished run.

    Attributes:
        schema_version: Version of this schema; a newer one is refused.
        stage: 'pretrain', 'det', 'seg' or a later task.
        method: What is compared.
        backbone: Name of the backbone.
        protocol: What it is measured by.
        recipe_hash: Hash of the resolved config without method, backbone, seed and paths.
        pretrain_seed: Seed of the pretraining; for a pretraining the same as ``seed``; none from scratch.
        seed: Seed of this run.
        metrics: Raw metric keys of the evaluator and their values, of the last checkpoint; finite numbers only.
        cost: What the run cost.
        provenance: Where the result came from.
        model: Size of the model, if it was counted.
        series: Curves by name: 'loss', 'lr', 'factor' (how far PAL trusts the attention), and every metric of the
            validations under the name it has in ``metrics``.
        curves: Curves by name of a metric over what was varied after training, such as the share of occluded cells.
        best: The best validation; None where there is no main metric.
        data_check: What ``mixpro-bench check-data`` last found of the data, if it was asked before the run.
        predictions: Where predictions of the last checkpoint were kept, relative to the Record's folder.
        created: When the Record was made, with time zone.
    """

    schema_version: Annotated[int, Field(strict=True)] = SCHEMA_VERSION
    stage: Name
    method: Method
    backbone: Name
    protocol: Protocol
    recipe_hash: str | None = None
    pretrain_seed: int | None = None
    seed: int | None = None
    metrics: dict[str, FiniteFloat]
    cost: RunCost
    provenance: Provenance = Field(default_factory=Provenance)
    model: Model | None = None
    series: dict[str, Series] = Field(default_factory=dict)
    curves: dict[str, Response] = Field(default_factory=dict)
    best: Best | None = None
    data_check: Literal["passed", "failed"] | None = None
    predictions: str | None = None
    created: datetime = Field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def gpu_hours(self) -> float | None:
        """Hours of all devices together; None for a run on a CPU or on an unknown device."""
        device = self.provenance.device
        if device is None or device.startswith("cpu"):
            return None
        return self.cost.wall_s * self.cost.devices / 3600


def record_from(data: Any, where: str = "Record") -> Record:
    """Validate ``data`` as a Record; one of an older schema version is brought up to date first.

    Args:
        data: What JSON gave.
        where: Named in the error.

    Raises:
        UserError: If the schema is newer than this version's, or a field is missing or wrong.
    """
    if not isinstance(data, dict):
        raise UserError(f"{where} is not a Record: a JSON object is expected, not {type(data).__name__}")
    version = data.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise UserError(f"{where} is not a Record: schema_version must be a whole number from 1 on, not {version!r}")
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{where} has Record schema version {version}, but this mixpro_bench reads up to version {SCHEMA_VERSION}: "
            "update mixpro_bench"
        )
    try:
        return Record.model_validate(migrate(data, version, SCHEMA_VERSION))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UserError(f"{where} is not a valid Record: {field}: {first['msg']}{more}") from None


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read one Record.

    Raises:
        UserError: If the file is missing, cut short, or no Record of a known version.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    # The quick way for what is as it should be; what is not takes the one that migrates, or says what is wrong.
    with contextlib.suppress(ValidationError):
        record = Record.model_validate_json(content)
        if "schema_version" in record.model_fields_set and record.schema_version == SCHEMA_VERSION:
            return record
    try:
        data = json.loads(content)
    except ValueError as error:  # json's and unicode's errors both
        raise UserError(f"{path} is not a Record: not valid JSON ({error}); run again what made it") from None
    return record_from(data, str(path))


def write_record(record: Record, path: str | os.PathLike[str]) -> Path:
    """Write one Record in one step; two processes writing the same file both succeed, the later one stands."""
    # Validated once more, because a dict inside a model can be changed without the model noticing.
    checked = record_from(record.model_dump(), f"the Record for {path}")
    return write_text_atomic(path, checked.model_dump_json(indent=2) + "\n")


def record_id(record: Record) -> str:
    """Return what names a Record: 16 hexadecimal digits of its content's SHA-256, the same wherever its file lies."""
    # Without defaults: a field that a later version of the package adds does not rename the Records there are.
    return hashlib.sha256(record.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:16]


def identity(record: Record) -> Hashable:
    """Return what was run: two Records of the same identity should have the same metrics."""
    provenance = record.provenance
    return (
        record.stage,
        record.method.name,
        record.method.preset,
        record.backbone,
        record.protocol.name,
        record.protocol.version,
        record.recipe_hash,
        record.pretrain_seed,
        record.seed,
        provenance.data_fingerprint,
        provenance.upstream_sha256,
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a Record."""
    return Record.model_json_schema()
