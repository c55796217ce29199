"""The documents of the tiny data set, to be edited and written."""

import pytest

from support.training import tiny_coco


@pytest.fixture
def files():
    """Documents of both annotation files."""
    return tiny_coco.documents()
