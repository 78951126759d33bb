"""What a config takes for a URL can be sent to, and what it refuses could not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.provider.fields import URL_LIMIT, check_url, locate_url
from shared.runtime.errors import AddressBlocked
from shared.runtime.outbound.targets import parse_url

HOSTS = st.text(
    st.sampled_from("aZ09-._ü\u200b\u00ad漢\u3002\uff05\uff4c:[]%1ß①\u2100é\u0301\u0661"),
    min_size=1,
    max_size=8,
)
PORTS = st.sampled_from(["", ":443", ":0", ":", ":8080", ":\uff18\uff10"])
PATHS = st.text(st.sampled_from("/?;&=%2fF~+ü.:@!$'()*,[]|^`{}\"<>"), max_size=10).map(
    lambda text: f"/{text}"
)
URLS = st.builds(
    lambda scheme, host, port, path: f"{scheme}://{host}{port}{path}",
    st.sampled_from(["https", "HTTPS", "http"]),
    HOSTS,
    PORTS,
    PATHS,
)


@given(url=URLS)
@settings(max_examples=1000)
def test_a_url_that_is_accepted_can_be_sent_to(url: str) -> None:
    try:
        check_url(url)
    except ValueError:
        return

    try:
        target = parse_url(url)
    except AddressBlocked:
        return
    assert target.name.isascii()
    assert target.path.isascii()


@pytest.mark.parametrize("url", ["https://a.test/\ud800", "https://a.test/?b=\udfff", "https://\udc80.test/"])
def test_a_url_with_half_a_character_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded"):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.test/über?sig=a%2Bb%2Fc%3D",
        "https://bücher.test/",
        "https://xn--bcher-kva.test/?",
        "https://a.test//b//?a+b;c~d",
        "https://[2606:4700::1111]:8443/a%2fb",
    ],
)
def test_a_url_stays_as_it_was_given(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://a\u200bb.test/",
        "https://bü\u00adcher.test/",
        "https://" + "ü" * 60 + ".test/",
        "https://[fe80::1%25eth0]/",
        "https://[::1]a/",
        "https://a%2etest/",
        "https://-a.test/",
    ],
)
def test_a_host_that_could_not_be_sent_to_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the host name is malformed; check its spelling"):
        check_url(url)


@pytest.mark.parametrize("url", ["https://example.com/" + "a" * URL_LIMIT, "https://" + "é" * URL_LIMIT])
def test_what_is_longer_than_any_address_leads_nowhere(url: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        locate_url(url)
