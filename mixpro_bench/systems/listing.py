"""The table of systems as rows of primitives, as text and as a page; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from mixpro_bench.systems import systems
from mixpro_bench.systems.cost import stored as stored_cost
from mixpro_bench.systems.model import Number, System
from mixpro_bench.systems.verified import stored, verified

TITLES = {"top1": "top-1", "box_ap": "box AP", "mask_ap": "mask AP", "miou": "mIoU"}
REGENERATE = "mixpro-bench systems --markdown > docs/systems.md"


def row(one: System) -> dict[str, Any]:
    """Return everything that is known of a system as primitives."""
    sizes = stored().get(one.name, {}).get("sizes", {})
    return {
        "name": one.name,
        "kind": one.kind,
        "config": one.config(),
        "variants": [asdict(variant) for variant in one.variants],
        "more_variants": list(one.more),
        "counted_here": sizes,
        "strides": list(one.strides),
        "channels": list(one.channels),
        "importance": one.importance,
        "attention": one.attention,
        "published": [asdict(number) for number in one.published],
        "source": one.source,
        "licence": one.licence,
        "remark": one.remark,
        "compile": one.graph_break or "one graph",
        "unreached": dict(one.unreached),
        "verified": verified(one),
        "cost": stored_cost().get("systems", {}).get(one.name),
    }


def short_rows() -> list[dict[str, str]]:
    """Return one line per system for the terminal."""
    return [
        {
            "system": one.name,
            "smallest": one.smallest.name,
            "parameters": f"{one.smallest.parameters:,}",
            "GMAC": _gmacs(one),
            "strides": "/".join(map(str, one.strides)),
            "importance": one.importance,
            "verified": _passed(one),
        }
        for one in systems()
    ]


def markdown() -> str:
    """Return the page ``docs/systems.md``."""
    lines = [
        "# The systems",
        "",
        "Every backbone that can be pretrained here with a mixing method and go into Mask R-CNN and UperNet. Made by "
        f"`{REGENERATE}` from `mixpro_bench/systems`; do not edit.",
        "",
        "Parameters are exact, with a classifier of 1000 classes. GMACs are counted here, by torch's FlopCounterMode. "
        "`verified` counts what `mixpro-bench systems --verify` saw pass: parameters, feature maps at 224 x 320, "
        "97 x 141 and 800 x 1333 px, and a training step each of MixPro, Mask R-CNN and UperNet.",
        "",
        *_table(
            (
                "system",
                "what it is",
                "smallest variant",
                "parameters",
                "GMACs",
                "px",
                "strides",
                "importance",
                "verified",
            ),
            (
                (
                    one.name,
                    one.kind,
                    f"`{one.smallest.name}`",
                    f"{one.smallest.parameters:,}",
                    _gmacs(one),
                    one.smallest.img_size,
                    "/".join(map(str, one.strides)),
                    f"`{one.importance}`",
                    _passed(one),
                )
                for one in systems()
            ),
        ),
        "",
        "Importance is what PAL and TransMix read: `cls`, the class token's row of the last attention; `class_attn`, "
        "that of class attention; `mean_attn`, the mean row of a last stage that sees the whole image; `cam`, a class "
        "activation map where there is no attention (this package's substitute).",
    ]
    lines += _costs()
    lines += ["", "## One by one"]
    for one in systems():
        lines += ["", f"### {one.name}", "", *_details(one)]
    return "\n".join(lines) + "\n"


def _details(one: System) -> list[str]:
    variants = [
        f"`{v.name}` {v.parameters:,}{f' and {v.gmacs:g} GMAC' if v.gmacs else ''} at {v.img_size} px ({v.counted})"
        for v in one.variants
    ]
    told = {
        "Variants with a reference count": "; ".join(variants),
        "More variants": ", ".join(f"`{name}`" for name in one.more),
        "Config": f"`{one.config()}`",
        "Read": one.attention,
        "Source": f"{one.source} (licence: {one.licence})",
        "Without gradient": "; ".join(f"`{name}`: {why}" for name, why in one.unreached.items()),
        "torch.compile": one.graph_break,
        "Remark": one.remark,
        "Not passed": "; ".join(f"{k}: {v}" for k, v in stored().get(one.name, {}).get("failed", {}).items()),
    }
    lines = [f"- {title}: {text}" for title, text in told.items() if text]
    if one.published:
        lines += ["", *_table(("published", "", "", "recipe", "source"), map(_published, one.published))]
    return lines


def _published(number: Number) -> tuple[str, ...]:
    return (number.variant, TITLES[number.metric], f"{number.value:g}", number.recipe, number.source)


def _costs() -> list[str]:
    cost = stored_cost()
    if not cost:
        return []
    sizes = cost["setting"]
    where = ", ".join(f"{key} {value}" for key, value in sizes.items() if value is not None)
    return [
        "",
        "## What a training step costs",
        "",
        "`mixpro-bench benchmark systems --store`: feature maps of the smallest variant for one image, backward pass "
        f"and AdamW, each system in a process of its own ({where}). Peak memory is beyond weights, AdamW's state and "
        "the image.",
        "",
        *_table(
            ("system", "s", "peak MiB"),
            (
                (name, f"{found['seconds']:.2f}", f"{found['peak_mib']:,.0f}")
                if "seconds" in found
                else (name, found["failed"], "")
                for name, found in cost["systems"].items()
            ),
        ),
    ]


def _gmacs(one: System) -> str:
    counted = stored().get(one.name, {}).get("sizes", {}).get(one.smallest.name, {}).get("gmacs")
    return "-" if counted is None else f"{counted:.2f}"


def _passed(one: System) -> str:
    outcome = verified(one)
    return f"{sum(outcome.values())}/{len(outcome)}"


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    head = tuple(head)
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return lines + [f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |" for cells in rows]
