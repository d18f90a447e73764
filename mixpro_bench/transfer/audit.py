"""The load audit: what became of the pretrained weights when a transfer started."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

# Where the audit of the run lies in the message hub, as a JSON string.
HUB_KEY = "mixpro_bench/load_audit"


@dataclass(frozen=True)
class LoadAudit:
    """What was matched between a checkpoint and a backbone.

    Attributes:
        checkpoint: File the weights came from.
        sha256: Hash of that file.
        weights: ``"raw"`` or ``"ema"``.
        matched: Number of tensors loaded.
        total: Number of tensors counted: those the backbone needs and those of the pretrained backbone without a
            place in it.
        matched_elements: Numbers (scalars) in the loaded tensors.
        total_elements: Numbers in the counted tensors.
        missing: Tensors the backbone needs and did not get; a wrong shape is named behind the name.
        unexpected: Tensors of the pretrained backbone that found no place.
        dropped: Number of tensors left behind on purpose (classifier, labeler and the like).
        resized: Position tensors resampled to another grid (and the patch kernel, if asked for), with both shapes.
        upstream: The pretraining run, as its checkpoint's ``meta['mixpro_bench']`` tells, or the released code that
            wrote it; empty if nothing is known.
        weights_because: Why these weights were taken.
    """

    checkpoint: str
    sha256: str
    weights: str
    matched: int
    total: int
    matched_elements: int
    total_elements: int
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    dropped: int = 0
    resized: list[str] = field(default_factory=list)
    upstream: dict = field(default_factory=dict)
    weights_because: str = ""

    @property
    def share(self) -> float:
        """Share of the counted tensors that were loaded, 0 to 1."""
        return self.matched / self.total if self.total else 0.0

    def line(self) -> str:
        """Return the audit as one line for the log."""
        why = f" ({self.weights_because})" if self.weights_because else ""
        return (
            f"load audit: {self.matched} of {self.total} tensors ({100 * self.share:.4g} %, "
            f"{self.matched_elements:,} of {self.total_elements:,} numbers) of the pretrained backbone matched, "
            f"{len(self.missing)} missing, {len(self.unexpected)} unexpected, {len(self.resized)} resized, "
            f"{self.dropped} left behind; {self.weights} weights{why} of {self.checkpoint} (sha256 {self.sha256[:12]})"
        )

    def to_json(self) -> str:
        """Return the audit as a JSON object, the share included."""
        return json.dumps({**asdict(self), "share": self.share}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> LoadAudit:
        """Read back what `to_json` wrote.

        Examples:
            >>> audit = LoadAudit("a.pth", "00", "raw", 3, 4, 30, 40)
            >>> LoadAudit.from_json(audit.to_json()) == audit, audit.share
            (True, 0.75)
        """
        values = json.loads(text)
        values.pop("share", None)
        return cls(**values)
