"""Metadata of the package. Ranges only: the versions that are run together are pinned in requirements/."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
README = HERE / "README.md"
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "mixpro_bench" / "__init__.py").read_text(), re.MULTILINE)[1]

# mmcv and mmcv-lite are two builds of the same import, so neither is required: compat/dependencies.py checks it.
# The opencv-python that mmengine asks for is left to it; the lock takes opencv-python-headless instead.
MMCV_RANGE = ">=2.0.0rc4,<2.2.0"

TESTS = [
    "hypothesis>=6.100",
    "mypy>=1.10",
    "pytest>=8.2",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.5",
    "ruff>=0.5",
    "tensorboard>=2.17",
    "torchmetrics>=1.4",
]

setup(
    name="mixpro-bench",
    version=VERSION,
    description="Does pretraining a Vision Transformer with a given mixing method transfer better?",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["mixpro_bench", "mixpro_bench.*"]),
    package_data={
        "mixpro_bench": ["py.typed"],
        "mixpro_bench.leaderboard": ["*.csv", "*.json", "*.html", "*.css", "*.js", "*.j2", "*/*"],
        "mixpro_bench.systems": ["*.json"],
    },
    install_requires=[
        "faster-coco-eval>=1.6",
        "filelock>=4.1",
        "ftfy>=6.1",
        "jinja2>=3.1",
        "mmdet>=3.3,<3.4",
        "mmengine>=0.10.7,<0.11",
        "mmsegmentation>=1.2.2,<1.3",
        "numpy>=2,<2.5",
        "packaging>=23",
        "pandas>=2.2",
        "pillow>=10,<13",
        "pydantic>=2.7,<3",
        "regex",
        "rich>=13",
        "safetensors>=0.4",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "setuptools>=77,<82",
        "statsmodels>=0.14.2",
        "submitit>=1.5",
        "tabulate>=0.9",
        "timm>=1.0.20,<1.1",
        "torch>=2.6",
        "torchvision>=0.21",
    ],
    extras_require={
        "mmcv": [f"mmcv{MMCV_RANGE}"],
        "mmcv-lite": [f"mmcv-lite{MMCV_RANGE}"],
        "headless": ["opencv-python-headless<5"],
        "mlflow": ["mlflow>=3.1"],
        "robustness": ["foolbox>=3.3.4", "imagecorruptions-imaug>=1.1.5"],
        "tensorboard": ["tensorboard>=2.17"],
        "wandb": ["wandb>=0.19"],
        "tests": TESTS,
    },
    entry_points={"console_scripts": ["mixpro-bench = mixpro_bench.cli.main:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
