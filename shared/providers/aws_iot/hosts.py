"""The only hosts that get an account's signatures: AWS's own of a region, and the account's data endpoint there."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

REGION = r"^[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$"
LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))
IOT, S3, STS = "iot", "s3", "sts"

_DATA = r"[a-z0-9]{1,40}(-ats)?[.]iot[.]{region}[.]{domain}"


def name_domain(region: str) -> str:
    """What the names of a region's hosts end with."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def name_host(service: str, region: str) -> str:
    """AWS's host of a service in a region."""
    return f"{service}.{region}.{name_domain(region)}"


def check_data_host(host: str, region: str) -> str:
    """`host` in small letters, where it is a data endpoint of the region; else ValueError."""
    host = host.strip().lower()
    pattern = _DATA.replace("{region}", re.escape(region)).replace("{domain}", re.escape(name_domain(region)))
    if not re.fullmatch(pattern, host):
        raise ValueError(
            f"expected the account's data endpoint in the region, as abc123-ats.{name_host(IOT, region)}, without https://"
        )
    return host


def check_simulator(url: str) -> str:
    """`url` where it leads to this machine; else ValueError."""
    parts = urlsplit(url)
    if parts.hostname not in LOOPBACK or parts.path:
        raise ValueError(
            "this is for a simulator on the same machine, as http://127.0.0.1:4566; leave it out for AWS itself"
        )
    return url
