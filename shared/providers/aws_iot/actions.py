"""Every call there is, by the permission that AWS wants for it: its method, its path, and at which endpoint it is.

Source: the service models of AWS's SDKs, `iot` 2015-05-28 and `iot-data` 2015-05-28, and S3's REST API.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Place = Literal["iot", "data", "s3"]


class Action(NamedTuple):
    """How it is asked for; `{}` in the path is a part that is escaped whole."""

    method: str
    path: str
    place: Place = "iot"


ACTIONS: dict[str, Action] = {
    "iot:DescribeEndpoint": Action("GET", "/endpoint"),
    "iot:ConfirmTopicRuleDestination": Action("GET", "/confirmdestination/{}"),
    # Things
    "iot:ListThings": Action("GET", "/things"),
    "iot:DescribeThing": Action("GET", "/things/{}"),
    "iot:CreateThing": Action("POST", "/things/{}"),
    "iot:UpdateThing": Action("PATCH", "/things/{}"),
    "iot:DeleteThing": Action("DELETE", "/things/{}"),
    "iot:ListThingPrincipals": Action("GET", "/things/{}/principals"),
    "iot:AttachThingPrincipal": Action("PUT", "/things/{}/principals"),
    "iot:DetachThingPrincipal": Action("DELETE", "/things/{}/principals"),
    # Groups
    "iot:ListThingGroups": Action("GET", "/thing-groups"),
    "iot:DescribeThingGroup": Action("GET", "/thing-groups/{}"),
    "iot:CreateThingGroup": Action("POST", "/thing-groups/{}"),
    "iot:ListThingsInThingGroup": Action("GET", "/thing-groups/{}/things"),
    "iot:AddThingToThingGroup": Action("PUT", "/thing-groups/addThingToThingGroup"),
    # Certificates
    "iot:CreateCertificateFromCsr": Action("POST", "/certificates"),
    "iot:ListCertificates": Action("GET", "/certificates"),
    "iot:DescribeCertificate": Action("GET", "/certificates/{}"),
    "iot:UpdateCertificate": Action("PUT", "/certificates/{}"),
    "iot:DeleteCertificate": Action("DELETE", "/certificates/{}"),
    "iot:AttachPolicy": Action("PUT", "/target-policies/{}"),
    "iot:DetachPolicy": Action("POST", "/target-policies/{}"),
    # Jobs
    "iot:CreateJob": Action("PUT", "/jobs/{}"),
    "iot:DescribeJob": Action("GET", "/jobs/{}"),
    "iot:GetJobDocument": Action("GET", "/jobs/{}/job-document"),
    "iot:CancelJob": Action("PUT", "/jobs/{}/cancel"),
    "iot:ListJobs": Action("GET", "/jobs"),
    "iot:ListJobExecutionsForJob": Action("GET", "/jobs/{}/things"),
    "iot:DescribeJobExecution": Action("GET", "/things/{}/jobs/{}"),
    # At the data endpoint
    "iot:Publish": Action("POST", "/topics/{}", "data"),
    "iot:SendDirectMessage": Action("POST", "/connections/{}/messages", "data"),
    "iot:GetThingShadow": Action("GET", "/things/{}/shadow", "data"),
    "iot:UpdateThingShadow": Action("POST", "/things/{}/shadow", "data"),
    "iot:DeleteThingShadow": Action("DELETE", "/things/{}/shadow", "data"),
    "iot:ListNamedShadowsForThing": Action("GET", "/api/things/shadow/ListNamedShadowsForThing/{}", "data"),
    # Images
    "s3:ListBucket": Action("GET", "/{}", "s3"),
    # An object's name has levels, which S3 wants as such: bucket, folder, package, version.
    "s3:PutObject": Action("PUT", "/{}/{}/{}/{}", "s3"),
    "s3:DeleteObject": Action("DELETE", "/{}/{}/{}/{}", "s3"),
}
