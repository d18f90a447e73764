"""How far AP and mIoU would move with other validation images: a bootstrap over images of kept predictions."""

from mixpro_bench.leaderboard.over_images.intervals import Interval, add_intervals

__all__ = ["Interval", "add_intervals"]
