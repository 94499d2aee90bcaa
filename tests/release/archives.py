"""The sdist and the wheel, and checks of their content."""

from __future__ import annotations

import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

from server_jobs import __version__
from trove_classifiers import classifiers

from .programs import ROOT, require, run
from .pythons import SUPPORTED

URLS = {"Changelog", "Documentation", "Source"}
CLASSIFIERS = {"Typing :: Typed", *(f"Programming Language :: Python :: {version}" for version in SUPPORTED)}

SOME_TESTS = (
    "tests/runtime/test_job.py",
    "tests/runtime/contract/test_model.py",
    "tests/generator/models/test_models_golden.py",
)


@dataclass(frozen=True, slots=True)
class Archives:
    """The two files to publish, and the metadata of the wheel."""

    sdist: Path
    wheel: Path
    metadata: Message


def build(folder: Path) -> Archives:
    """Build the sdist, and the wheel from the sdist."""
    run("pyproject-build", "--outdir", str(folder), ".")
    return archives_in(folder)


def archives_in(folder: Path) -> Archives:
    """Read the two files in a folder."""
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        return Archives(sdist, wheel, BytesParser().parsebytes(content.read(name)))


def has_one_version(archives: Archives) -> str:
    """Check that the package, the wheel and the changelog have the same version."""
    version = archives.metadata["Version"]
    require({version} ^ {__version__}, "the wheel and the package have different versions")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    require([] if version in changelog else [version], "CHANGELOG.md lacks")
    return f"{version}, in CHANGELOG.md"


def renders(archives: Archives) -> str:
    """Check the metadata and the description as the index does."""
    run("twine", "check", "--strict", str(archives.sdist), str(archives.wheel))
    return "twine check --strict found nothing"


def has_classifiers(archives: Archives) -> str:
    """Check that all classifiers exist, and that none is missing."""
    found = set(archives.metadata.get_all("Classifier", []))
    require(found - set(classifiers), "unknown classifiers")
    require(CLASSIFIERS - found, "missing classifiers")
    require({"License-Expression", "License-File"} - set(archives.metadata), "missing metadata")
    return f"{len(found)}, licence {archives.metadata['License-Expression']}"


def has_urls(archives: Archives) -> str:
    """Check the URLs that the index shows beside the description."""
    found = dict(url.split(", ", 1) for url in archives.metadata.get_all("Project-URL", []))
    require(sorted(URLS - set(found)), "[project.urls] of pyproject.toml lacks")
    return ", ".join(sorted(found))


def is_typed(archives: Archives) -> str:
    """Check that every package of the wheel has the marker of PEP 561."""
    with zipfile.ZipFile(archives.wheel) as content:
        files = {PurePosixPath(name) for name in content.namelist()}
    packages = {file.parts[0] for file in files if not file.parts[0].endswith(".dist-info")}
    require(sorted(name for name in packages if PurePosixPath(name, "py.typed") not in files), "no py.typed in")
    return ", ".join(sorted(packages))


def has_the_sources(archives: Archives) -> str:
    """Check that the sdist has every file under version control, tests included."""
    with tarfile.open(archives.sdist) as content:
        found = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in content.getnames()}
    tracked = set(run("git", "ls-files").splitlines())
    require(sorted(tracked - found), "not in the sdist")
    tests = sum(name.startswith("tests/") for name in tracked)
    return f"{len(tracked)} files, {tests} of them below tests"


def tests_run(archives: Archives) -> str:
    """Run some tests of the unpacked sdist on its own modules."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archives.sdist) as content:
        content.extractall(folder, filter="data")
        (root,) = Path(folder).iterdir()
        modules = f"{root / 'runtime'}:{root / 'generator'}"
        return run(sys.executable, "-m", "pytest", "-q", *SOME_TESTS, folder=root, PYTHONPATH=modules).splitlines()[-1]
