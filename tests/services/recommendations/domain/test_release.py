"""A slot: what is promoted out of the shadow does not answer in its own."""

from services.recommendations.domain.release import Event, Promoted, Release, ShadowSet, release
from tests.scenario import Scenario

IN_SHADOW = ShadowSet("r1", "blend@1", "ab", "olga", 1)


def after(*events: Event) -> Release:
    return Scenario(release).given(events).state


def test_a_version_that_is_promoted_leaves_the_shadow() -> None:
    found = after(IN_SHADOW, Promoted("r2", "blend@1", "ab", "olga", 2))

    assert (found.version, found.shadow_version) == ("blend@1", "")


def test_another_version_stays_in_the_shadow_of_what_is_promoted() -> None:
    other = after(IN_SHADOW, Promoted("r2", "blend@0", "cd", "olga", 2))
    rebuilt = after(IN_SHADOW, Promoted("r2", "blend@1", "cd", "olga", 2))

    assert (other.version, other.shadow_version) == ("blend@0", "blend@1")
    assert rebuilt.shadow_artifact_hash == "ab", "the same name of another training"
