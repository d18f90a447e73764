"""What the package says about a system: plain data, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Metric = Literal["top1", "box_ap", "mask_ap", "miou"]


@dataclass(frozen=True)
class Variant:
    """A variant whose size is known from its authors' code.

    Attributes:
        name: The variant, as a config names it.
        parameters: Exact count, with a classifier of 1000 classes.
        gmacs: Multiplications and additions of a forward pass, in units of 10^9, as torch's FlopCounterMode counts
            them; None where no count is known.
        img_size: Side of the images that both counts are for.
        counted: What the count comes from.
    """

    name: str
    parameters: int
    gmacs: float | None = None
    img_size: int = 224
    counted: str = "the authors' code"


@dataclass(frozen=True)
class Number:
    """A published number, with its recipe; numbers of different recipes do not compare.

    Attributes:
        variant: As the source calls it.
        metric: What it measures.
        value: In percent.
        recipe: Data, schedule, head, image size, whatever the source tells.
        source: Where it was seen.
    """

    variant: str
    metric: Metric
    value: float
    recipe: str
    source: str


@dataclass(frozen=True)
class System:
    """One row of the table of systems.

    Attributes:
        name: What the field calls it.
        kind: What it is made of, in a few words.
        build: Arguments that are common to all variants, ``type`` among them.
        key: Argument that names the variant: ``variant``, or ``name`` for timm's.
        variants: Variants of known size, the smallest first.
        more: Further variants.
        test: Arguments that make it tiny, for images of 64 px.
        importance: Its own kind of importance at the size it is built for.
        attention: What PAL and TransMix read.
        channels: Channels of the native maps of the smallest variant.
        strides: Their strides.
        source: Code the mechanism follows, or the library it comes from.
        licence: Of that source; nothing is copied from it.
        published: Numbers of its authors or of a framework.
        unreached: Pattern of a parameter's name -> why no gradient of the classifier's loss reaches it.
        graph_break: Why ``torch.compile`` does not take it in one graph, if it does not.
        remark: What a reader must know.
    """

    name: str
    kind: str
    build: Mapping[str, Any]
    variants: tuple[Variant, ...]
    test: Mapping[str, Any]
    importance: Literal["cls", "class_attn", "mean_attn", "cam"]
    attention: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    source: str
    licence: str
    key: Literal["variant", "name"] = "variant"
    more: tuple[str, ...] = ()
    published: tuple[Number, ...] = ()
    unreached: Mapping[str, str] = field(default_factory=dict)
    graph_break: str = ""
    remark: str = ""

    @property
    def smallest(self) -> Variant:
        """The smallest variant of known size."""
        return self.variants[0]

    def config(self, variant: Variant | None = None, **more: Any) -> dict[str, Any]:
        """Return the config of a variant, the smallest by default."""
        return {**self.build, self.key: (variant or self.smallest).name, **more}

    def small_config(self, **more: Any) -> dict[str, Any]:
        """Return the config of the tiny variant for tests."""
        return {**self.build, **self.test, **more}
