"""Checks of data on disk before a run: what is there, what is missing, what is wrong."""

from mixpro_bench.datasets.check.ade import check_ade
from mixpro_bench.datasets.check.coco import check_coco
from mixpro_bench.datasets.check.imagenet import check_imagenet
from mixpro_bench.datasets.check.report import Finding, Report
from mixpro_bench.datasets.check.scan import Scanner

__all__ = ["Finding", "Report", "Scanner", "check_ade", "check_coco", "check_imagenet"]
