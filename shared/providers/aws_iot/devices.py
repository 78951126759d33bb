"""An account's things as a Directory. Source: the service model of `iot`, 2015-05-28.

AWS lists the things of a group by their names alone, so that each is asked for by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from shared.provider import (
    DeviceChange,
    DevicePage,
    Directory,
    Item,
    NewDevice,
    NotSupported,
    ProviderRefused,
    RemoteDevice,
)
from shared.providers.aws_iot.api import LONGEST_TOKEN, AwsApi, read_items
from shared.providers.aws_iot.certificates import certify_thing, delete_detached, release_thing
from shared.providers.aws_iot.things import (
    HARDWARE_IDS,
    NAME,
    THING,
    check_name,
    check_value,
    read_thing,
    tag,
    write_attributes,
)

PAGE_SIZE, GROUP_PAGE_SIZE = 250, 25
TRIES = 5
NO_KEYS = "Things sign in with certificates: choose the credentials certificate."
NO_AUTHORITIES = "AWS makes the certificates of things itself: leave ca_certificate out, or send a csr."


@dataclass(frozen=True, slots=True)
class Selection:
    """Which things are listed, by type and group, and what those get that are made."""

    thing_type: str | None = None
    group: str | None = None
    new_type: str | None = None
    new_policy: str | None = None


class ThingDirectory(Directory):
    """The things of one account in one region, or those of a type or in a group."""

    makes_certificates = True

    def __init__(self, api: AwsApi, selection: Selection) -> None:
        self._api, self._chosen = api, selection
        self.narrowed = bool(selection.thing_type or selection.group)

    def list_page(self, cursor: str | None) -> DevicePage:
        """The cursor is AWS's own."""
        if self._chosen.group:
            return self._list_group(self._chosen.group, cursor)
        query = {"maxResults": PAGE_SIZE, "thingTypeName": self._chosen.thing_type, "nextToken": cursor}
        reply = self._api.run("iot:ListThings", query=query)
        things = [read_thing(each) for each in read_items(reply, "things")]
        return DevicePage(things, Item(reply).text("nextToken", LONGEST_TOKEN))

    def get(self, device_id: str) -> RemoteDevice | None:
        """By its name."""
        found = self._describe(device_id)
        return read_thing(found.fields) if found else None

    def find(self, wanted: NewDevice) -> RemoteDevice | None:
        """By each hardware id where it is the only one of a thing, or all together, then by the name."""
        joined = ",".join(sorted(set(wanted.hardware_ids)))
        for value in dict.fromkeys((joined, *wanted.hardware_ids)):
            query = {"attributeName": HARDWARE_IDS, "attributeValue": value, "maxResults": 1}
            reply = self._api.run("iot:ListThings", query=query) if value else None
            if reply and (found := read_items(reply, "things")):
                return read_thing(found[0])
        return self.get(wanted.name)

    def create(self, wanted: NewDevice) -> RemoteDevice:
        """Under its name, which has to be one that AWS takes."""
        attributes = write_attributes(wanted.hardware_ids, wanted.tags)
        body: dict[str, object] = {"attributePayload": {"attributes": attributes}}
        if self._chosen.new_type:
            body["thingTypeName"] = self._chosen.new_type
        name = check_name(wanted.name)
        # AWS takes the same twice; but a refusal of the second try would leave what the first has made to nobody.
        self._api.run("iot:CreateThing", name, body=body, again=False)
        thing = {"thingName": name, "attributes": attributes, "thingTypeName": self._chosen.new_type}
        return read_thing(thing, wanted.cohort)

    def settle(self, device_id: str, wanted: NewDevice) -> None:
        """Its group, which has to be there."""
        if wanted.cohort:
            body = {"thingName": device_id, "thingGroupName": wanted.cohort}
            self._api.run("iot:AddThingToThingGroup", body=body)

    def update(self, device_id: str, change: DeviceChange) -> None:
        """Its attributes, for the version that was read: another is read again."""
        for tries_left in reversed(range(TRIES)):
            found = self._describe(device_id)
            if found is None:
                raise ProviderRefused("The thing is not there any more.", answered=HTTPStatus.NOT_FOUND)
            attributes = self._change(found, change)
            body = {
                "attributePayload": {"attributes": attributes, "merge": False},
                "expectedVersion": found.count("version"),
            }
            try:
                self._api.run("iot:UpdateThing", device_id, body=body)
            except ProviderRefused as refusal:
                if refusal.answered != HTTPStatus.CONFLICT or not tries_left:
                    raise
            else:
                return

    def delete(self, device_id: str) -> None:
        """With the certificates that it signs in with."""
        release_thing(self._api, device_id, self._chosen.new_policy)
        try:
            delete_detached(self._api, "iot:DeleteThing", device_id)
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise

    def add_key(self, device_id: str, identity: str, key: str) -> None:  # noqa: ARG002 - there are none
        """Refused, as there are none."""
        raise NotSupported(NO_KEYS)

    def name_identity(self, name: str) -> str:  # noqa: ARG002 - there is none
        """Refused, as there are no keys."""
        raise NotSupported(NO_KEYS)

    def add_authority(self, certificate: str) -> None:  # noqa: ARG002 - there is none
        """Refused: AWS signs itself."""
        raise NotSupported(NO_AUTHORITIES)

    def describe_certificate(self, name: str) -> dict[str, str]:
        """AWS knows a device by the certificate itself, whatever its subject is."""
        return {"common_name": name}

    def certify(self, device_id: str, request: str, *, again: bool = False) -> str:
        """The certificate that AWS makes of a request; the same for the same key."""
        return certify_thing(self._api, device_id, request, self._chosen.new_policy, again=again)

    def _list_group(self, group: str, cursor: str | None) -> DevicePage:
        query = {"maxResults": GROUP_PAGE_SIZE, "recursive": "true", "nextToken": cursor}
        reply = self._api.run("iot:ListThingsInThingGroup", group, query=query)
        names = [each for each in read_items(reply, "things") if isinstance(each, str)]
        found = [thing for name in names if (thing := self._describe(name))]
        wanted = self._chosen.thing_type
        chosen = [each for each in found if wanted in {None, each.text("thingTypeName")}]
        things = [read_thing(each.fields, group) for each in chosen]
        return DevicePage(things, Item(reply).text("nextToken", LONGEST_TOKEN))

    def _describe(self, name: str) -> Item | None:
        if not THING.fullmatch(name):
            return None
        try:
            return Item(self._api.run("iot:DescribeThing", name))
        except ProviderRefused as refusal:
            if refusal.answered == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _change(self, found: Item, change: DeviceChange) -> dict[str, object]:
        attributes: dict[str, object] = dict(found.item("attributes").fields)
        if change.name:
            attributes[NAME] = check_value(change.name)
        if change.add_tags or change.remove_tags:
            kept = [each for each in read_thing(found.fields).tags if each not in change.remove_tags]
            attributes = tag(attributes, [*kept, *change.add_tags])
        return attributes
