"""What is said about the process with everything that is exported."""

import uuid
from importlib import metadata

from autoinstrument import __version__
from autoinstrument.export.resource import resource_attributes


def test_instances_have_random_uuids() -> None:
    made = [str(resource_attributes({}, "")["service.instance.id"]) for _ in range(64)]
    assert len(set(made)) == 64
    for text in made:
        found = uuid.UUID(text)
        assert (str(found), found.version, found.variant) == (text, 4, uuid.RFC_4122)


def test_version_is_the_installed_one() -> None:
    assert metadata.version("asyncscope") == __version__
    assert resource_attributes({}, "")["telemetry.sdk.version"] == __version__
