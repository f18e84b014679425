"""Sizes: Prometheus' own grammar, less what would switch the limit off."""

from __future__ import annotations

import pytest

from stackctl.values.sizes import parse_size
from tests.support.prometheus_values import SIZES, WITHOUT_EFFECT


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_a_size_is_read_as_prometheus_reads_it(text: str, size: int | None) -> None:
    if size is None:
        with pytest.raises(ValueError, match=r"expected a size .+"):
            parse_size(text)
    else:
        assert parse_size(text) == size


@pytest.mark.parametrize("text", WITHOUT_EFFECT)
def test_a_size_that_would_be_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a size .+"):
        parse_size(text)
