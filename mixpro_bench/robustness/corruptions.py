"""Common corruptions at five severities: ImageNet-C made on the fly, or read from a folder.

After Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations
(arXiv:1903.12261, section 4). As there, a picture is corrupted after it was resized and cropped to what the model sees.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from mixpro_bench.errors import UserError
from mixpro_bench.leaderboard.record import RECORD_NAME, Record, read_record
from mixpro_bench.robustness.corrupt import COMMON, GROUPS, LEAST, SEVERITIES, library, names_of, severities_of
from mixpro_bench.robustness.corrupted import Store, prepared, prepared_place
from mixpro_bench.robustness.part import Curve, Finding, Part, Steps
from mixpro_bench.robustness.pictures import evenly, told_of
from mixpro_bench.robustness.subject import Advance, Subject, accuracy

LIBRARY = "imagecorruptions-imaug"
# Errors in percent by corruption and severity.
Errors = Mapping[str, Mapping[int, float]]


def mean_errors(errors: Errors) -> dict[str, float]:
    """Return the mean error over severities of each corruption."""
    return {name: statistics.fmean(by_severity.values()) for name, by_severity in errors.items()}


def corruption_error(errors: Errors, reference: Errors, clean: float = 0.0, reference_clean: float = 0.0) -> float:
    """Return the mean corruption error in percent, relative to a reference's (arXiv:1903.12261, section 4.2).

    For each corruption the sum of errors over severities is divided by the reference's; the mean over corruptions is
    the mCE. With the clean errors of both, which are taken off first, it is the relative mCE.

    Raises:
        ZeroDivisionError: If the reference loses nothing under a corruption.

    Examples:
        >>> corruption_error({"fog": {1: 20.0, 2: 40.0}}, {"fog": {1: 40.0, 2: 80.0}})
        50.0
    """
    shares = [
        sum(error - clean for error in by_severity.values())
        / sum(reference[name][severity] - reference_clean for severity in by_severity)
        for name, by_severity in errors.items()
    ]
    return 100 * statistics.fmean(shares)


class Corruptions(Part):
    """Error under common corruptions.

    Args:
        names: ``"common"`` for the 15, ``"all"`` for the 4 extra ones too, a group (noise, blur, weather, digital,
            extra), or names.
        severities: From 1 to 5.
        pictures: Measure on so many of the pictures, evenly spread, as there are up to 75 passes; 0 for all.
        folder: A prepared ImageNet-C instead: ``folder/<corruption>/<severity>/<class>/*``, the corruptions perhaps
            in folders of their groups.
        reference: Record, or the folder that holds it, of the run whose errors the mCE is relative to.
        least: Shorter side in pixels below which pictures are corrupted enlarged, see `corrupt`.
        cache: Gigabytes that corrupted pictures may take in the cache; more than that are made anew for each model.
    """

    name: ClassVar[str] = "corruptions"

    def __init__(
        self,
        names: str | Sequence[str] = "common",
        severities: int | Sequence[int] = SEVERITIES,
        pictures: int = 250,
        folder: str | None = None,
        reference: str | None = None,
        least: int = LEAST,
        cache: float = 8.0,
    ) -> None:
        if pictures < 0:
            raise UserError(f"part corruptions: pictures={pictures} must be a number of pictures, or 0 for all")
        if least < 32:
            raise UserError(f"part corruptions: least={least} must be 32 at least, as the library takes no less")
        self.names, self.severities = names_of(names), severities_of(severities)
        self.pictures, self.folder, self.reference, self.least, self.cache = pictures, folder, reference, least, cache

    def options(self) -> dict[str, Any]:
        """Return what findings depend on: a reference by its weights, the version of the library, nothing of caches."""
        told = super().options()
        told.pop("cache")
        if self.reference is not None:
            told["reference"] = self._reference().provenance.upstream_sha256
        if self.folder is None:
            try:
                told["library"] = f"{LIBRARY} {version(LIBRARY)}"
            except PackageNotFoundError:
                told["library"] = None
        else:
            told["folder"] = told_of(self.folder, prepared_place(self.folder, self.names[0], self.severities[0]))
        return told

    def check(self, subject: Subject) -> None:
        """Refuse a missing library, a folder that lacks corruptions, and a reference of another measurement."""
        super().check(subject)
        if self.folder is None:
            library()
        else:
            prepared(self.folder, self.names[0], self.severities[0], subject)
        if self.reference is not None:
            self._reference_errors(subject)

    def run(self, subject: Subject, advance: Advance) -> Finding:
        """Measure; see `Part.run`."""
        indices = subject.indices[evenly(len(subject.indices), self.pictures or None)]
        steps = Steps(advance, 2 * (len(self.names) * len(self.severities) + 1))
        errors: dict[str, dict[int, float]] = {name: {} for name in self.names}
        with Store(subject, indices, self.least, len(self.names) * len(self.severities), self.cache) as store:
            clean = _error(store.get("clean", 0, steps), steps)
            for name in self.names:
                for severity in self.severities:
                    if self.folder is None:
                        corrupted = store.get(name, severity, steps)
                    else:
                        corrupted = prepared(self.folder, name, severity, subject, self.pictures or None)
                        steps(1, 1)
                    errors[name][severity] = _error(corrupted, steps)
        return self._finding(subject, errors, clean, len(indices), store.note)

    def _finding(self, subject: Subject, errors: Errors, clean: float, used: int, kept: str | None) -> Finding:
        means = mean_errors(errors)
        metrics = {"corruptions/clean": clean}
        for title, group in (("mean", COMMON), ("extra_mean", GROUPS["extra"])):
            found = [means[name] for name in group if name in means]
            if found:
                metrics[f"corruptions/{title}"] = statistics.fmean(found)
        notes = [f"measured on {used} of {len(subject.indices)} pictures; more by corruptions.pictures=N"]
        if used == len(subject.indices):
            notes = []
        size = min(subject.image_size())
        if self.folder is None and size < self.least:
            notes.append(f"pictures of {size} pixels are corrupted at {self.least} and scaled back")
        notes += [kept] if kept and self.folder is None else []
        if self.reference is None:
            notes.append("no mCE: name a reference's Record with corruptions.reference=PATH")
        else:
            notes += self._relative(metrics, errors, clean, subject)
        metrics |= {f"corruptions/{name}": mean for name, mean in means.items()}
        metrics |= {
            f"corruptions/{name}/{severity}": error
            for name, by_severity in errors.items()
            for severity, error in by_severity.items()
        }
        return Finding(metrics, self._curves(errors, clean), tuple(notes))

    def _relative(self, metrics: dict[str, float], errors: Errors, clean: float, subject: Subject) -> list[str]:
        """Add the mCE over the common corruptions to the metrics; return what could not be said."""
        reference, reference_clean = self._reference_errors(subject)
        common = {name: one for name, one in errors.items() if name in COMMON}
        notes = []
        for title, cleans in (("mce", (0.0, 0.0)), ("relative_mce", (clean, reference_clean))):
            try:
                metrics[f"corruptions/{title}"] = corruption_error(common, reference, *cleans)
            except (ZeroDivisionError, statistics.StatisticsError):
                notes.append(f"no {title}: the reference loses nothing under a corruption, or none is a common one")
        return notes

    def _curves(self, errors: Errors, clean: float) -> dict[str, Curve]:
        curves = {}
        for title, group in (("severity", COMMON), *((f"severity, {name}", names) for name, names in GROUPS.items())):
            known = [errors[name] for name in group if name in errors]
            if known:
                y = [clean, *(statistics.fmean(one[severity] for one in known) for severity in self.severities)]
                curves[title] = Curve((0, *self.severities), y, "severity", "error, %")
        return curves

    def _reference(self) -> Record:
        assert self.reference is not None
        path = Path(self.reference)
        record = read_record(path / RECORD_NAME if path.is_dir() else path)
        if record.stage != self.name:
            raise UserError(f"part corruptions: {path} is a Record of {record.stage}, not of corruptions")
        return record

    def _reference_errors(self, subject: Subject) -> tuple[Errors, float]:
        from mixpro_bench.robustness.run import question_of

        record = self._reference()
        theirs, ours = dict((record.model_extra or {}).get("question") or {}), question_of(subject, self)
        for question in (theirs, ours):
            question["options"] = {k: v for k, v in question.get("options", {}).items() if k != "reference"}
        for key in ("version", "options", "images", "data", "seed"):
            if theirs.get(key) != ours[key]:
                raise UserError(
                    f"part corruptions: the reference {self.reference} was measured with another {key} "
                    f"({theirs.get(key)}, here {ours[key]}): measure it as this one"
                )
        metrics = record.metrics
        found = {n: {s: metrics[f"corruptions/{n}/{s}"] for s in self.severities} for n in self.names}
        return found, metrics["corruptions/clean"]


def _error(subject: Subject, advance: Advance) -> float:
    return 100 - accuracy(subject.scores(advance=advance), subject.labels)
