"""The one import of whoever writes a provider, or uses one: the contract, the words that travel, the way out."""
# ruff: noqa: I001 - packed by hand: a name a line would be as long as all of it
# fmt: off

from __future__ import annotations

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, Downlink, Encoded, Uplink
from shared.provider.base import Capability, Destination, Provider, make_provider
from shared.provider.batch import Batch, Note
from shared.provider.broker import (
    MQTT_3, MQTT_5, Broker, BrokerPlan, ProtocolUnsupported, load_client,
)
from shared.provider.capabilities import MIXINS, require, require_class
from shared.provider.callback import (
    Acknowledged, Acknowledgement, Callback, CallbackReceiver, DeliveryReport, OptOut, locate_callback,
    show_address,
)
from shared.provider.catalogue import find_provider, list_types, load_provider, load_safe_provider, resolve_type
from shared.provider.check import Check, Checker, explain_host, explain_url, run_check, run_checks
from shared.provider.codec_fields import CodecFields, CodecId, CodecUser, TransformFields
from shared.provider.decode import Decoder, StoredBody
from shared.provider.decoding.body import DecodedBody, decode_body, read_media_type
from shared.provider.decoding.coded import CodedBody, decode_bodies, read_bodies
from shared.provider.decoding.dialect import Dialect, PayloadDecoder, PayloadFormat
from shared.provider.decoding.mending import REPLACED
from shared.provider.decoding.names import name_own_event
from shared.provider.decoding.parts import read_parts
from shared.provider.decoding.readers import find_path, find_vmark_reply, judge_kind
from shared.provider.decoding.storable import TOO_DEEP, Document, find_depth, read_document
from shared.provider.decoding.times import UNBELIEVED, TimestampFormat, choose_time, parse_time
from shared.provider.decoding.topics import (
    TOPIC_BYTES, OwnTopic, TopicFacts, TopicRules, check_filter, check_filters, drop_covered, find_overlap, trim_topic,
)
from shared.provider.decoding.status import tell_presence
from shared.provider.deliver import Subscriber
from shared.provider.device_tokens import TOKEN_PREFIX, find_token, hash_token
from shared.provider.devices import (
    Credentials, DeviceChange, DevicePage, Direction, Directory, NewDevice, Policy, RemoteDevice, SettingsStatus,
    Syncer,
)
from shared.provider.downlink import QueueItem, read_downlink
from shared.provider.expressions import EXPRESSION_LIMIT, Expression, Expressions, Found
from shared.provider.fields import (
    BaseUrl, BearerToken, Credential, EndpointUrl, HeaderName, Headers, SecretUrl, SocketUrl, encode_basic,
    find_http_url, join_basic, locate_url, looks_secret, require_partner, reveal_headers,
)
from shared.provider.firmware import (
    MAIN_PACKAGE, Artifact, BegunRollout, Cohort, Deployment, DeviceFirmware, Firmware, FirmwareKeeper, Heard, Listing,
    NewArtifact, OtaEvent, Package, RolloutPlan, RolloutTarget, UpdateState, judge_state, read_plan,
)
from shared.provider.form import PEM, Group, only_with
from shared.provider.grpc_web import (
    GRPC_WEB_HEADERS, GrpcWebError, name_grpc_status, read_grpc_frames, read_grpc_web, translate_grpc_status,
    write_grpc_frame,
)
from shared.provider.history import Historian
from shared.provider.items import NamedBody, Pages, cut_bodies, decode_items, find_items, name_item, write_item
from shared.provider.lifting import UNLIFTED, Lifted, lift_deep, read_lifted
from shared.provider.lists import CommaSeparated
from shared.provider.lorawan import (
    Frame, LorawanEvent, LorawanReceiver, Reception, describe_gateways, describe_modulation, keep_undecoded,
    list_gateways, read_bytes,
)
from shared.provider.lorawan_directory import NO_EUI, LorawanDirectory, check_application
from shared.provider.merge_patch import merge_config, patch_config
from shared.provider.messages import (
    ALERT, MESSAGE_LIMIT, REFUSED_EXCERPT, Command, CommandReport, Event, EventDevice, Identity, Kind, Message, Notice,
    Report, Stage, decode_raw, describe_event, encode_raw, list_template_values,
)
from shared.provider.outbox import Bounds, Outbox, wait_for_codec, weigh_body
from shared.provider.parse import PROOF, PushedRequest, Receiver
from shared.provider.payload_fields import PayloadFields, check_path
from shared.provider.notebook import Notebook, NotebookState
from shared.provider.notices.notifier import Notifier
from shared.provider.notices.problems import AccountRefused, RecipientOptedOut, RecipientRefused
from shared.provider.notices.recipient import Recipient
from shared.provider.notices.wording import Wording
from shared.provider.platform_key import read_platform_key
from shared.provider.proto_table import describe_file, make_message_classes
from shared.provider.publish import PublishOutcome, Publisher
from shared.provider.reconnect import HOPELESS, back_off
from shared.provider.refusals import name_refusals
from shared.provider.rpc_reply import answer_rpc, refuse_rpc
from shared.provider.secret_address import list_parts, show_origin
from shared.provider.secrets import RotatingSecret, name_secrets, reveal, split_config
from shared.provider.send import Commander, Outcome
from shared.provider.session import Poller
from shared.provider.shared_session import WHOLE, Part, SharedPoller
from shared.provider.source import MessageSource
from shared.provider.settings import DataType, DeviceSettings, Setting, SettingsKeeper
from shared.provider.standard_webhooks import (
    SVIX_HEADERS, HeaderNames, check_secret, make_secret, show_public_key, sign_webhook, verify_webhook,
)
from shared.provider.state import DeviceState, Path, StateKeeper
from shared.provider.template import (
    Context, Template, check_text, compile_template, dump_json, find_gaps, list_payload_paths, render_template,
)
from shared.provider.tag_attribute import TAGS, join_tags, read_tags
from shared.provider.topic_template import (
    check_topic_template, choose_topic, fill_topic_template, widen_topic_template,
)
from shared.provider.subscription import EVENT_NAMES, DeviceFilter, EventType, Seconds, Subscription
from shared.provider.tls import (
    Tls, decrypt_key, explain_tls_failure, make_tls_context, read_authorities, read_chain, read_key,
)
from shared.provider.tls.fields import make_tls, name_authority, read_certificate_field, read_key_field
from shared.provider.values import Item, LONGEST_TEXT, Object, read_moment
from shared.runtime.backoff import Backoff, is_final_status
from shared.runtime.deadline import Deadline
from shared.runtime.errors import (
    AddressBlocked, AnswerUnreadable, BadRequest, CommandRefused, Conflict, ConnectionRefused, CredentialsRefused,
    FieldError, InvalidConfig, NameNotResolved, NotFound, NotSupported, OutsideError, Problem, ProtocolFailed,
    ProviderRefused, StreamEnded, StreamRefused, TimedOut, TlsFailed, TooLarge, Unauthenticated, Unavailable,
)
from shared.runtime.exact_json import read_json, write_json
from shared.runtime.masking import mask_secrets
from shared.runtime.memory import SMALL, load_budget, load_reading_budget, weigh_json
from shared.runtime.portable import replace_nul
from shared.runtime.sentences import name_wrong
from shared.runtime.web.text_reply import TextReply
from shared.runtime.outbound import (
    Access, ApiClient, EventStreamReader, JsonApi, OutboundClient, OutboundReply, OutboundRequest, SocketAddress,
    WebSocketStream, connect_checked, describe_connect_error, is_public, load_policy, note_call, note_certificate,
    refuse, resolve_checked, send_once,
)
from shared.runtime.telemetry import read_traceparent
