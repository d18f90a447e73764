"""Drawing what a detector or a segmenter finds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

SCORE = 0.3  # detections below are not drawn


class DrawHook(Hook):
    """Draw the first pictures of a test with mmdet's or mmseg's visualizer: what is there, and what was found.

    Args:
        number: How many pictures.
        folder: Where they go, under the pictures' own names as PNG.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.folder = folder
        self.drawn = 0

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the pictures of a batch, as long as some are to be drawn."""
        import mmcv

        for sample in (outputs or ())[: self.number - self.drawn]:
            self.folder.mkdir(parents=True, exist_ok=True)
            picture = mmcv.imread(sample.img_path, channel_order="rgb")
            name = f"{self.drawn:04}_{Path(sample.img_path).stem}.png"
            score = dict(pred_score_thr=SCORE) if "pred_instances" in sample else {}
            runner.visualizer.add_datasample(
                name, picture, data_sample=sample.cpu(), out_file=str(self.folder / name), **score
            )
            self.drawn += 1
