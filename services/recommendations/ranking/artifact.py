"""A trained ranking as a folder: arrays, the price model's text, a model card, and hashes of all.

A folder is written under another name and then renamed, so a half-written one is never seen.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from services.recommendations.ranking.parts import Neighbours, Trained

# Changes when a reader of the old form would be wrong.
FORMAT: Final = 1
ARRAYS, MODEL, CARD, MANIFEST = "arrays.npz", "price_model.txt", "card.json", "manifest.json"
_VERSION: Final = re.compile(r"[a-z][a-z0-9_]{0,30}@[1-9][0-9]{0,5}")
_BYTES_MAX: Final = 1 << 30


class ArtifactRefused(Exception):
    """A folder that is not taken: another format, a broken hash, something missing."""


def version_is_well_formed(version: str) -> bool:
    """`name@number`, as it stands in events."""
    return _VERSION.fullmatch(version) is not None


def save(folder: Path, version: str, trained: Trained, card: Mapping[str, Any]) -> str:
    """Write `folder/version`; its hash. Raises `FileExistsError`: a version is written once."""
    if not version_is_well_formed(version):
        raise ValueError(f"{version!r} is not like blend@3")
    target = folder / version
    if target.exists():
        raise FileExistsError(f"{target} is there already: a version is trained once")
    draft = folder / f".{version}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    np.savez_compressed(
        draft / ARRAYS,
        codes=np.array(trained.codes, dtype=np.str_),
        popularity=trained.popularity,
        near=trained.neighbours.places,
        similarity=trained.neighbours.similarity,
        joint=trained.neighbours.joint,
        factors=trained.factors,
        price_score=trained.price_score,
        price_parts=trained.price_parts,
    )
    (draft / MODEL).write_text(trained.price_text)
    (draft / CARD).write_text(json.dumps(card, indent=1, sort_keys=True))
    manifest = {
        "format": FORMAT,
        "version": version,
        "as_of_day": trained.as_of_day,
        "weights": dict(sorted(trained.weights.items())),
        "files": {name: _hash(draft / name) for name in (ARRAYS, MODEL, CARD)},
    }
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
    digest = _hash(draft / MANIFEST)
    draft.rename(target)
    return digest


def load(folder: Path) -> tuple[str, str, Trained]:
    """Version, hash and parts. Raises `ArtifactRefused` with what is wrong."""
    manifest = _manifest(folder)
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size > _BYTES_MAX:
            raise ArtifactRefused(f"{folder.name}: {name} is missing or too large")
        if _hash(file) != expected:
            raise ArtifactRefused(f"{folder.name}: {name} is not what was trained")
    try:
        # No pickles: an array is numbers or text, never code.
        with np.load(folder / ARRAYS, allow_pickle=False) as held:
            trained = Trained(
                tuple(str(code) for code in held["codes"]),
                int(manifest["as_of_day"]),
                held["popularity"],
                Neighbours(held["near"], held["similarity"], held["joint"]),
                held["factors"],
                held["price_score"],
                held["price_parts"],
                (folder / MODEL).read_text(),
                {str(name): float(weight) for name, weight in manifest["weights"].items()},
            )
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactRefused(f"{folder.name}: {error}") from error
    return str(manifest["version"]), _hash(folder / MANIFEST), trained


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        found = manifest["format"], manifest["version"], set(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactRefused(f"{folder.name}: no manifest that can be read") from error
    if found[0] != FORMAT:
        raise ArtifactRefused(f"{folder.name}: format {found[0]}, and {FORMAT} is read")
    if found[1] != folder.name or not version_is_well_formed(folder.name):
        raise ArtifactRefused(f"{folder.name}: the manifest is of {found[1]}")
    if found[2] != {ARRAYS, MODEL, CARD}:
        raise ArtifactRefused(f"{folder.name}: other files than a ranking has")
    return dict(manifest)


def _hash(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
