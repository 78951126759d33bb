"""What docs/aws-iot.md gives AWS has the form that AWS takes, and the rights that the code asks for, no more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from shared.providers.aws_iot.actions import ACTIONS
from shared.providers.aws_iot.parse import BYTES, OURS
from tests.documents import read_blocks

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, TEMPLATE = DOCS / "aws-iot.md", DOCS / "aws-iot.cloudformation.yaml"
FUNCTIONS = frozenset(("Ref", "Fn::Sub", "Fn::GetAtt", "Fn::If", "Fn::Not", "Fn::Equals", "Condition"))
BY_MQTT = {"iot:Connect", "iot:Subscribe", "iot:Receive"}
BESIDE = {"s3:GetObject", "iam:PassRole"}
"""Rights that no call of ours is named for: S3 asks for the first, and AWS for the other where a job is made."""


def read_template() -> dict[str, Any]:
    return dict(yaml.safe_load(TEMPLATE.read_text()))


def find_all(node: Any, key: str) -> list[Any]:
    """Every value of that key, wherever it stands."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [node[key]] if isinstance(node, dict) and key in node else []
    return own + [found for each in inner for found in find_all(each, key)]


def test_the_template_has_the_form_of_cloudformation() -> None:
    template = read_template()

    assert template["AWSTemplateFormatVersion"] == "2010-09-09"
    assert {*template} <= {
        "AWSTemplateFormatVersion",
        "Description",
        "Parameters",
        "Conditions",
        "Resources",
        "Outputs",
    }
    for resource in template["Resources"].values():
        assert re.fullmatch(r"AWS::\w+::\w+", resource["Type"])
        assert {*resource} <= {"Type", "Properties", "DependsOn", "Condition"}


def test_whatever_the_template_names_is_there() -> None:
    template = read_template()
    known = {*template["Parameters"], *template["Resources"]}

    named = {name for name in find_all(template, "Ref") if not name.startswith("AWS::")}
    named |= {name for name, _ in find_all(template, "Fn::GetAtt")}
    for text in find_all(template, "Fn::Sub"):
        named |= {name for name in re.findall(r"\$\{([\w:]+)\}", text) if not name.startswith("AWS::")}
    named |= {
        each for resource in template["Resources"].values() for each in [resource.get("DependsOn")] if each
    }
    assert named <= known
    assert {*template["Parameters"]} <= named
    assert {condition for condition in find_all(template, "Condition") if isinstance(condition, str)} <= {
        *template["Conditions"]
    }


def test_the_role_may_do_what_is_called_and_nothing_else() -> None:
    (policy,) = read_template()["Resources"]["IntegrationRole"]["Properties"]["Policies"]
    actions = find_all(policy, "Action")

    allowed = {name for each in actions for name in (each if isinstance(each, list) else [each])}

    assert allowed == {*ACTIONS} | BESIDE | BY_MQTT


def test_the_role_is_assumed_under_the_external_id_alone() -> None:
    role = read_template()["Resources"]["IntegrationRole"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]

    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": {"Ref": "IntegrationId"}}}


def test_rules_select_what_is_read_and_lose_nothing_silently() -> None:
    resources = read_template()["Resources"]
    rules = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::IoT::TopicRule"]

    for rule in (each["TopicRulePayload"] for each in rules):
        sql = rule["Sql"] if isinstance(rule["Sql"], str) else rule["Sql"]["Fn::Sub"]
        selected = set(re.findall(r"AS (\w+)", sql))
        assert {BYTES, "topic", "ts", "id"} <= selected <= {BYTES} | OURS
        assert rule["ErrorAction"]
        (action,) = rule["Actions"]
        assert [header["Key"] for header in action["Http"]["Headers"]] == ["X-Webhook-Secret"]
    (shown,) = read_blocks(PAGE, "sql")
    assert set(re.findall(r"AS (\w+)", shown)) == {BYTES} | OURS


def test_the_policy_for_mqtt_lets_the_example_in_and_reads_its_topics() -> None:
    example, policy = map(json.loads, read_blocks(PAGE, "json", "MQTT instead of rules"))
    resources = {each["Action"]: each["Resource"] for each in policy["Statement"]}
    names = {
        action: [each.partition("123456789012:")[2] for each in given] for action, given in resources.items()
    }

    client = example["client_id"]
    assert names["iot:Connect"] == [f"client/{client}", f"client/{client[:14]}-*"]
    assert names["iot:Subscribe"] == [f"topicfilter/{topic}" for topic in example["topics"]]
    assert names["iot:Receive"] == [
        f"topic/{topic.replace('+', '*').replace('#', '*')}" for topic in example["topics"]
    ]
