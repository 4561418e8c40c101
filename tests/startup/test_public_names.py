import pytest

import autoinstrument


@pytest.mark.parametrize("name", [name for name in autoinstrument.__all__ if name[0] != "_"])
def test_public_name_is_found(name: str) -> None:
    value = getattr(autoinstrument, name)
    assert value.__name__ == name
    assert name in dir(autoinstrument)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'autoinstrument' has no attribute 'nothing'"):
        autoinstrument.nothing  # noqa: B018 - looking it up is the point
