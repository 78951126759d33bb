"""What a device asks to be certified with is a request that its key has signed; all else is refused."""

from __future__ import annotations

import pytest

from shared.devices.certificate_requests import check_request, make_request
from shared.runtime.errors import BadRequest

UNKNOWN_CURVE = """-----BEGIN CERTIFICATE REQUEST-----
MIHGMG4CAQAwDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqBHM9VAYItA0IA
BH6KtrsLs9mqqYpsjMcJLHEXl+Cc4EPdLbMpYYLwkRrUsieNQRw5Hh891wsH/OUm
tUlT2EfSwZdB3vYisO+IkaegADAKBggqhkjOPQQDAgNIADBFAiASAVMNXM+5AqTL
CgOeKjPE9RJgFiosunBEEvePkBAiGAIhAJj+u5Fyjc/N0MZRhEz0w//k5RC5O5dA
w0TAubd/Ewcj
-----END CERTIFICATE REQUEST-----
"""
"""On SM2, which nothing here knows."""

NOTHING_IN_IT = "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----"


def test_a_request_that_is_made_here_is_signed() -> None:
    request, _ = make_request("pump-1")

    assert check_request(request) == request


@pytest.mark.parametrize("request_text", ["", "no request", UNKNOWN_CURVE, NOTHING_IN_IT])
def test_what_is_no_signed_request_is_refused_by_its_field(request_text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_request(request_text)

    assert [error.field for error in refusal.value.errors] == ["csr"]
