"""An artifact is what was trained, or it is refused and the one before serves on."""

import json
from pathlib import Path

import numpy as np
import pytest

from services.recommendations.domain.ranking import Crowd
from services.recommendations.ranking import artifact
from services.recommendations.ranking.artifact import ArtifactRefused, load, save
from services.recommendations.ranking.evaluation import catalogue_of
from services.recommendations.ranking.parts import Trained
from services.recommendations.ranking.serving import Artifacts
from services.recommendations.ranking.training import train
from tests.services.recommendations.ranking.small import SEED, last_day, small_world

VERSION = "blend@1"


@pytest.fixture(scope="module")
def learnt() -> Trained:
    return train(small_world().interactions, small_world().market, last_day(), SEED)


def test_what_is_saved_is_loaded(tmp_path: Path, learnt: Trained) -> None:
    digest = save(tmp_path, VERSION, learnt, {"version": VERSION})
    version, found_digest, found = load(tmp_path / VERSION)

    assert (version, found_digest) == (VERSION, digest)
    assert found.codes == learnt.codes
    assert found.weights == learnt.weights
    assert np.array_equal(found.factors, learnt.factors)
    assert json.loads((tmp_path / VERSION / artifact.CARD).read_text()) == {"version": VERSION}


def test_a_version_is_written_once(tmp_path: Path, learnt: Trained) -> None:
    save(tmp_path, VERSION, learnt, {})

    with pytest.raises(FileExistsError, match="trained once"):
        save(tmp_path, VERSION, learnt, {})


@pytest.mark.parametrize("version", ["blend", "blend@0", "../blend@1", "Blend@1", "blend@1/x"])
def test_a_name_that_is_no_version_is_refused(
    tmp_path: Path, learnt: Trained, version: str
) -> None:
    with pytest.raises(ValueError, match="is not like"):
        save(tmp_path, version, learnt, {})


@pytest.mark.parametrize("name", [artifact.ARRAYS, artifact.MODEL, artifact.CARD])
def test_a_flipped_bit_is_found(tmp_path: Path, learnt: Trained, name: str) -> None:
    save(tmp_path, VERSION, learnt, {"a": 1})
    file = tmp_path / VERSION / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(ArtifactRefused, match="is not what was trained"):
        load(tmp_path / VERSION)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "format 2, and 1 is read"),
        ({"version": "blend@2"}, "the manifest is of blend@2"),
        ({"files": {}}, "other files"),
    ],
)
def test_another_manifest_is_refused(
    tmp_path: Path, learnt: Trained, change: dict[str, object], told: str
) -> None:
    save(tmp_path, VERSION, learnt, {})
    file = tmp_path / VERSION / artifact.MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    with pytest.raises(ArtifactRefused, match=told):
        load(tmp_path / VERSION)


@pytest.mark.parametrize("name", [artifact.ARRAYS, artifact.MANIFEST])
def test_a_missing_file_is_told(tmp_path: Path, learnt: Trained, name: str) -> None:
    save(tmp_path, VERSION, learnt, {})
    (tmp_path / VERSION / name).unlink()

    with pytest.raises(ArtifactRefused):
        load(tmp_path / VERSION)


def test_a_new_version_is_taken_up_while_running_and_a_broken_one_changes_nothing(
    tmp_path: Path, learnt: Trained
) -> None:
    world = small_world()
    catalogue = catalogue_of(world.interactions, world.levels, last_day())
    artifacts = Artifacts(tmp_path)
    assert not artifacts.look()
    save(tmp_path, VERSION, learnt, {})
    assert artifacts.look()
    save(tmp_path, "blend@2", learnt, {})
    (tmp_path / "blend@2" / artifact.ARRAYS).write_bytes(b"broken")

    versions = [ranker.version for ranker in artifacts(catalogue, Crowd())]

    assert versions == [VERSION]
    assert not artifacts.look(), "what was refused is not tried for ever"
