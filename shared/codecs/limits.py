"""What a codec may use. The child keeps to the first part by itself; its parent enforces the second by killing it."""

from __future__ import annotations

ENGINE_SECONDS = 0.1
"""CPU time of one body in JavaScript; then the engine stops it, and what it left behind is thrown away."""

ENGINE_BYTES = 32 * 1024 * 1024
ENGINE_STACK_BYTES = 512 * 1024
CHILD_BYTES = 512 * 1024 * 1024
"""Address space of a child."""

PROGRAMS = 8
"""Compiled sources that a child keeps; were all of them full, they would still fit into `CHILD_BYTES`."""

RESULT_LIMIT = 262_144
"""Characters of JSON that one body may become."""

BATCH_RESULT_LIMIT = 8 * 1024 * 1024
"""Characters of JSON that all bodies of one request may become."""

DEPTH_LIMIT = 100
"""Levels of lists and objects within one another."""

VALUE_LIMIT = 50_000
"""Values within one result."""

START_SECONDS = 20.0
ITEM_SECONDS = 1.0
"""Time on the clock for one body answered by itself; then the child is killed, and the body did it."""

BATCH_SECONDS = 0.5
"""Time on the clock without any result of several bodies; then each is asked for by itself."""

SILENT_SECONDS, LOW_PRIORITY = 0.25, 10
"""After so long without an answer a child gets as low a priority (nice), and is replaced once it has answered."""

ALARM_SECONDS = 30
"""After this time without a new request's end a child ends itself, should its parent be gone."""

STOPS = 3
"""Bodies of one call that may have to be stopped; the rest of the call is not tried then."""

KILLS = 5
"""Children that may be killed from outside one after another without any result; then a body is taken to do it."""

CHILDREN = 4
CHILDREN_OF_ONE = 2
"""Children of one process, and how many of them one organization may use at the same time."""

TROUBLE_SECONDS = 10.0
"""How long an organization whose codec had to be killed may use one child only."""

WAIT_SECONDS = 10.0
"""How long a call waits for a child."""

IDLE_SECONDS = 300.0
SWOLLEN_BYTES = 128 * 1024 * 1024
"""A child that has once used as much memory is replaced by a new one."""

REQUEST_ITEMS = 500
REQUEST_BYTES = 2 * 1024 * 1024
"""What is sent to a child at a time; longer batches are cut."""

REQUEST_SECONDS = 10.0
"""Time on the clock for what is sent at a time; what is left then is not tried."""
