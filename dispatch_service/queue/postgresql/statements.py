"""
The statements of the queue on PostgreSQL, each over arrays.
"""

from dataclasses import replace

import sqlalchemy as sa

from dispatch_service.queue import layouts, moves
from dispatch_service.queue.claimed import CLAIMED
from dispatch_service.queue.dialects import POSTGRESQL
from dispatch_service.queue.expire_times import USED_UP
from dispatch_service.queue.move import LEASE_HELD, Move


def _unnest(alias: str, columns: layouts.Columns) -> str:
    arrays = ", ".join(_filled(alias, name, it.kind) for name, it in columns.items())
    return f"unnest({arrays}) AS {alias}({', '.join(columns)})"


def _filled(alias: str, name: str, kind: str) -> str:
    # A column with the same value in every row comes as that one value.
    array = f"CAST(:{alias}_{name} AS {kind}[])"
    repeated = f"array_fill(({array})[1], ARRAY[CAST(:{alias}_rows AS integer)])"
    return f"CASE cardinality({array}) WHEN 1 THEN {repeated} ELSE {array} END"


_LEASE = {
    "lease_owner": "CAST(:lease_owner AS text)",
    "lease_us": "CAST(:lease_us AS bigint)",
}

# The values that a statement is given come from these rows, and accept_time from a join.
_EVENT = replace(POSTGRESQL, given="e.{}", special={"accept_time": "accept_time"})
_EVENT_KEY = replace(POSTGRESQL, given="e.{}", special={"accept_time": "now()"})
_BODY = replace(POSTGRESQL, given="b.{}", special={"accept_time": "accept_time"})
_DELIVERY = replace(
    POSTGRESQL,
    given="d.{}",
    special={
        "accept_time": "accept_time",
        **_LEASE,
        **{name: f"fresh.{name}" for name in layouts.OF_EVENT},
    },
)
_CLAIM = replace(POSTGRESQL, column="d.{}", special=_LEASE)
_INTERRUPTED = replace(
    POSTGRESQL, given="{}", special={**_LEASE, "interrupted_error": ":interrupted_error"}
)
_ENDED = replace(POSTGRESQL, given="s.{}", column="d.{}")
_LATE = replace(POSTGRESQL, given="l.{}", column="d.{}")
_ATTEMPT = replace(
    POSTGRESQL,
    given="s.of_{}",
    special={
        "owner": "owner",
        "delivery_id": "delivery_id",
        **{name: f"e.{name}" for name in layouts.OF_DELIVERY},
        "next_attempt_time": "e.due_time",
    },
)

# What decides which events are new; all else joins what it returns.
_NEW_KEYS = f"""
e AS (SELECT * FROM {_unnest("e", layouts.EVENT)}), new_keys AS (
    {_EVENT_KEY.insert("event_keys", layouts.EVENT_KEYS_ROW)} FROM e
    ON CONFLICT DO NOTHING
    RETURNING account, event_id, accept_time
), fresh AS (
    SELECT account, event_id, accept_time, e.resource, e.sequence, e.occurred_at
    FROM e JOIN new_keys USING (account, event_id)
), stored_events AS (
    {_EVENT.insert("events", layouts.EVENTS_ROW)} FROM e JOIN new_keys USING (account, event_id)
)
"""

# Or which of those that waited are still unmatched.
_UNMATCHED = f"""
fresh AS (
    UPDATE events SET match_state = 'MATCHED' FROM {_unnest("e", layouts.EVENT_KEY)}
    WHERE events.account = e.account AND events.event_id = e.event_id
      AND match_state = 'PENDING_MATCH'
    RETURNING events.account, events.event_id, accept_time, resource, sequence, occurred_at
)
"""

_BODIES = f"""
{_BODY.insert("bodies", layouts.BODIES_ROW)}
    FROM {_unnest("b", layouts.BODY)} JOIN fresh USING (account, event_id)
"""

_DELIVERIES = f"""
stored_deliveries AS (
    {_DELIVERY.insert("deliveries", layouts.DELIVERIES_ROW)}
    FROM {_unnest("d", layouts.DELIVERY)} JOIN fresh USING (account, event_id)
)
"""

_FOLLOWING = f"stored_bodies AS ({_BODIES}), {_DELIVERIES}"

_FRESH_ROWS = "SELECT account, event_id, accept_time FROM fresh"

# The instant, and then what was not stored: usually nothing, which spares a row for each event.
INSERT = sa.text(f"""
WITH {_NEW_KEYS}, {_FOLLOWING}
SELECT now(), CAST(NULL AS bigint), CAST(NULL AS text)
UNION ALL
SELECT now(), account, event_id FROM e
WHERE NOT EXISTS (
    SELECT FROM new_keys k WHERE k.account = e.account AND k.event_id = e.event_id)
""")

INSERT_MATCHES = sa.text(f"WITH {_UNMATCHED}, {_FOLLOWING} {_FRESH_ROWS}")

# In steps, for groups with ordered deliveries: which events are new, the positions, what follows.
INSERT_KEYS = sa.text(f"WITH {_NEW_KEYS} {_FRESH_ROWS}")

MATCH_KEYS = sa.text(f"WITH {_UNMATCHED} {_FRESH_ROWS}")

TAKE_POSITIONS = sa.text(f"""
INSERT INTO sequences AS known (owner, subscription, resource, next_number, head_number)
SELECT owner, subscription, resource, 1 + wanted, 1 FROM {_unnest("l", layouts.SEQUENCE_COUNT)}
ON CONFLICT (owner, subscription, resource)
    DO UPDATE SET next_number = known.next_number + EXCLUDED.next_number - 1
RETURNING owner, subscription, resource, next_number, head_number
""")

_FRESH = f"fresh AS (SELECT * FROM {_unnest('f', layouts.FRESH)})"

INSERT_FOLLOWING = sa.text(f"WITH {_FRESH}, {_FOLLOWING} SELECT")

# Another delivery of the owner may have the body already.
INSERT_MISSING = sa.text(f"""
WITH {_FRESH}, stored_bodies AS ({_BODIES} ON CONFLICT DO NOTHING), {_DELIVERIES} SELECT
""")

KNOWN = sa.text(f"""
SELECT account, event_id, known.accept_time, known.sha256
FROM {_unnest("k", layouts.EVENT_KEY)} JOIN event_keys known USING (account, event_id)
""")

# A loose index scan walks from endpoint to endpoint, so that the backlog of one
# costs the others nothing; the walk begins after the endpoint where the last ended, and
# goes so far and no further. How far it came is asked for only where it found too little,
# since the walk ends early where it found enough.
# An endpoint whose breaker is open is passed by; after its pause one delivery that needs a
# request goes out, as a probe. Its state is looked up row by row: a hashed join would lose the
# order of the walk.
CLAIM = sa.text(f"""
WITH RECURSIVE walk AS (
    (SELECT owner, endpoint, due_time, 1 AS steps FROM deliveries
     WHERE due_time IS NOT NULL
       AND (owner, endpoint) > (CAST(:after_owner AS text), CAST(:after_endpoint AS text))
     ORDER BY owner, endpoint, due_time LIMIT 1)
    UNION ALL
    SELECT n.owner, n.endpoint, n.due_time, w.steps + 1
    FROM walk w CROSS JOIN LATERAL (
        SELECT owner, endpoint, due_time FROM deliveries
        WHERE due_time IS NOT NULL AND (owner, endpoint) > (w.owner, w.endpoint)
        ORDER BY owner, endpoint, due_time LIMIT 1
    ) n
    WHERE w.steps < CAST(:most_endpoints AS integer)
), picked AS (
    SELECT p.*, w.steps FROM walk w
    LEFT JOIN LATERAL (
        SELECT trips, open_until FROM endpoint_states
        WHERE owner = w.owner AND endpoint = w.endpoint LIMIT 1
    ) s ON true
    CROSS JOIN LATERAL (
        SELECT owner, endpoint, delivery_id,
               {", ".join(f"{column} AS {name}" for name, column in layouts.OLD.items())}
        FROM deliveries
        WHERE owner = w.owner AND endpoint = w.endpoint AND due_time <= now()
          AND delivery_id NOT IN (SELECT unnest(CAST(:held_ids AS uuid[])))
          AND (lease_owner IS NULL AND coalesce(wait_reason, '') <> 'inactive'
               OR due_time <= coalesce(CAST(:trusted_until AS timestamptz), now()))
          AND (s.trips IS NULL OR NOT ({POSTGRESQL.render(USED_UP)}))
        ORDER BY due_time
        LIMIT CASE WHEN s.trips IS NULL THEN CAST(:per_endpoint AS integer) ELSE 1 END
        FOR UPDATE SKIP LOCKED
    ) p
    WHERE w.due_time <= now() AND (s.open_until IS NULL OR s.open_until <= now())
      AND (w.owner, w.endpoint) NOT IN (
        SELECT * FROM unnest(CAST(:full_owner AS text[]), CAST(:full_endpoint AS text[])))
      AND w.owner <> ALL (CAST(:full_owners AS text[]))
    LIMIT CAST(:claim_limit AS integer)
), walked AS (
    SELECT CASE WHEN (SELECT count(*) FROM picked) < CAST(:claim_limit AS integer) THEN
        (SELECT ARRAY[owner, endpoint] FROM walk
         WHERE steps = CAST(:most_endpoints AS integer)) END AS place
), taken AS (
    UPDATE deliveries d SET
    {_CLAIM.assignments(moves.CLAIM.columns)}
    FROM picked p
    WHERE d.owner = p.owner AND d.delivery_id = p.delivery_id
    RETURNING d.*, {", ".join(f"p.{name}" for name in layouts.OLD)}, p.steps
), probing AS (
    UPDATE endpoint_states s
    SET open_until = now() + CAST(:lease_us AS bigint) * interval '1 microsecond',
        update_time = now()
    FROM (SELECT DISTINCT owner, endpoint FROM picked) p
    WHERE s.owner = p.owner AND s.endpoint = p.endpoint
), interrupted_attempts AS (
    {_INTERRUPTED.insert("attempts", layouts.INTERRUPTED_ROW)}
    FROM taken WHERE old_owner IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT {", ".join(f"t.{name}" for name in CLAIMED)},
    t.old_owner, now() - t.create_time AS age, t.expire_time - now() AS time_left,
    b.sealed_body, t.steps, walked.place[1] AS walked_owner, walked.place[2] AS walked_endpoint
FROM walked LEFT JOIN taken t ON true
LEFT JOIN bodies b ON b.owner = t.owner AND b.account = t.account AND b.event_id = t.event_id
    AND b.event_type = t.event_type AND b.payload_version = t.payload_version
""")


def _ended(move: Move, columns: layouts.Columns) -> str:
    """
    End the leases of rows that hold the present token.
    """
    return f"""
s AS (SELECT * FROM {_unnest("s", columns)}), ended AS (
    UPDATE deliveries d SET
    {_ENDED.assignments(move.columns)}
    FROM s
    WHERE {_ENDED.render(LEASE_HELD)}
    RETURNING d.owner, d.delivery_id, d.lease_token, d.account, d.event_id, d.subscription,
              d.event_type, d.payload_version, d.resource, d.due_time, d.end_time,
              d.state, d.sequence_position
)
"""


# The leases that were lost, and the sequences in which a delivery has ended: usually nothing.
_LOST_AND_SEQUENCES = """
SELECT s.owner, s.delivery_id, s.lease_token, NULL AS subscription, NULL AS resource,
    false AS failed
FROM s
WHERE NOT EXISTS (
    SELECT FROM ended e WHERE e.owner = s.owner
      AND e.delivery_id = s.delivery_id AND e.lease_token = s.lease_token)
UNION ALL
SELECT owner, NULL, NULL, subscription, resource, state = 'FAILED'
FROM ended WHERE end_time IS NOT NULL AND sequence_position IS NOT NULL
"""

OF_ATTEMPT: layouts.Columns = {f"of_{name}": column for name, column in layouts.ATTEMPT.items()}

# Only rows whose lease is still held get an attempt.
SETTLE = sa.text(f"""
WITH {_ended(moves.SETTLE, {**layouts.SETTLEMENT, **OF_ATTEMPT})}, logged AS (
    {_ATTEMPT.insert("attempts", layouts.ATTEMPTS_ROW)}
    FROM s JOIN ended e USING (owner, delivery_id, lease_token)
    WHERE s.attempted
)
{_LOST_AND_SEQUENCES}
""")

REQUEUE_LEASES = sa.text(f"WITH {_ended(moves.REQUEUE, layouts.REQUEUE)} {_LOST_AND_SEQUENCES}")

SUSPEND_LEASES = sa.text(f"WITH {_ended(moves.SUSPEND, layouts.SUSPEND)} {_LOST_AND_SEQUENCES}")

# The result of an attempt whose lease was lost is recorded where the log says that it was
# interrupted.
RECORD_LATE = sa.text(f"""
UPDATE attempts a SET error = a.error || l.note, response_code = l.response_code
FROM {_unnest("l", layouts.LATE)}
WHERE a.owner = l.owner AND a.delivery_id = l.delivery_id AND a.number = l.number
  AND a.status = 'INTERRUPTED' AND a.duration_us IS NULL AND a.error = :interrupted_error
""")

# What was confirmed in such an attempt has succeeded.
CONFIRM_LATE = sa.text(f"""
UPDATE deliveries d SET
    {_LATE.assignments(moves.CONFIRM.columns)}
FROM {_unnest("l", layouts.LATE)}
WHERE d.owner = l.owner AND d.delivery_id = l.delivery_id
  AND d.state IN ({moves.CONFIRM.sources})
RETURNING d.owner, d.subscription, d.resource, d.sequence_position
""")
