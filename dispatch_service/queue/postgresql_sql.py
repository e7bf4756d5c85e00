"""
The statements of the queue on PostgreSQL, each over arrays.
"""

from collections.abc import Mapping

import sqlalchemy as sa

from dispatch_service.queue.columns import (
    ATTEMPT,
    BODY,
    DELIVERY,
    EVENT,
    EVENT_KEY,
    LANE_COUNT,
    LATE,
    LEASE_KEY,
    RELEASE,
    SETTLEMENT,
)


def _unnest(alias: str, spec: Mapping[str, str]) -> str:
    arrays = ", ".join(_filled(alias, name, kind) for name, kind in spec.items())
    return f"unnest({arrays}) AS {alias}({', '.join(spec)})"


def _filled(alias: str, name: str, kind: str) -> str:
    # A column with the same value in every row comes as that one value.
    array = f"CAST(:{alias}_{name} AS {kind}[])"
    repeated = f"array_fill(({array})[1], ARRAY[CAST(:{alias}_rows AS integer)])"
    return f"CASE cardinality({array}) WHEN 1 THEN {repeated} ELSE {array} END"


_LOST_AND_LANES = """
SELECT s.owner, s.delivery_id, s.lease_token, NULL AS subscription, NULL AS resource
FROM s
WHERE NOT EXISTS (
    SELECT FROM ended e WHERE e.owner = s.owner
      AND e.delivery_id = s.delivery_id AND e.lease_token = s.lease_token)
UNION ALL
SELECT owner, NULL, NULL, subscription, resource
FROM ended WHERE end_time IS NOT NULL AND sequence_position IS NOT NULL
"""


FRESH = {
    **EVENT_KEY,
    "accept_time": "timestamptz",
    "resource": "text",
    "sequence": "bigint",
    "occurred_at": "timestamptz",
}

SETTLED = {
    **SETTLEMENT,
    **{f"of_{name}": kind for name, kind in ATTEMPT.items() if name not in LEASE_KEY},
}

# What decides which events are new; all else joins what it returns.
NEW_KEYS = f"""
e AS (SELECT * FROM {_unnest("e", EVENT)}), new_keys AS (
    INSERT INTO event_keys (account, event_id, sha256, accept_time)
    SELECT account, event_id, sha256, now() FROM e
    ON CONFLICT DO NOTHING
    RETURNING account, event_id, accept_time
), fresh AS (
    SELECT account, event_id, accept_time, e.resource, e.sequence, e.occurred_at
    FROM e JOIN new_keys USING (account, event_id)
), stored_events AS (
    INSERT INTO events (account, event_id, domain_event, resource, sequence, occurred_at,
                        accept_time, match_state, warehouses, order_id, email_hash,
                        sealed_payload)
    SELECT account, event_id, e.domain_event, e.resource, e.sequence, e.occurred_at,
           accept_time, e.match_state, e.warehouses, e.order_id, e.email_hash, e.sealed_payload
    FROM e JOIN new_keys USING (account, event_id)
)
"""

# Or which of those that waited are still unmatched.
UNMATCHED = f"""
fresh AS (
    UPDATE events SET match_state = 'MATCHED' FROM {_unnest("e", EVENT_KEY)}
    WHERE events.account = e.account AND events.event_id = e.event_id
      AND match_state = 'PENDING_MATCH'
    RETURNING events.account, events.event_id, accept_time, resource, sequence, occurred_at
)
"""

FOLLOWING = f"""
stored_bodies AS (
    INSERT INTO bodies (owner, account, event_id, event_type, payload_version,
                        sealed_body, sha256, body_bytes, create_time)
    SELECT b.owner, account, event_id, b.event_type, b.payload_version,
           b.sealed_body, b.sha256, b.body_bytes, accept_time
    FROM {_unnest("b", BODY)} JOIN fresh USING (account, event_id)
), stored_deliveries AS (
    INSERT INTO deliveries (owner, delivery_id, account, event_id, subscription, event_type,
        payload_version, endpoint, url_shown, url_hash, resource, sequence, occurred_at,
        create_time, state, due_time, expire_time, end_time, lease_owner, lease_token,
        attempt_count, retries_used, interrupted, next_trigger, requested_by,
        sequence_position, failure_kind)
    SELECT d.owner, d.delivery_id, account, event_id, d.subscription, d.event_type,
        d.payload_version, d.endpoint, d.url_shown, d.url_hash, fresh.resource,
        fresh.sequence, fresh.occurred_at, accept_time,
        CASE WHEN d.failure_kind IS NOT NULL THEN 'FAILED'
             WHEN d.leased THEN 'DELIVERING' ELSE 'PENDING' END,
        CASE WHEN d.failure_kind IS NULL AND NOT d.behind THEN
             now() + CASE WHEN d.leased THEN CAST(:lease_us AS bigint) ELSE 0 END
                     * interval '1 microsecond' END,
        accept_time + d.lifetime_us * interval '1 microsecond',
        CASE WHEN d.failure_kind IS NOT NULL THEN now() END,
        CASE WHEN d.leased THEN CAST(:lease_owner AS text) END,
        CASE WHEN d.leased THEN 1 ELSE 0 END,
        CASE WHEN d.leased THEN 1 ELSE 0 END, 0, 0,
        d.next_trigger, d.requested_by, d.sequence_position, d.failure_kind
    FROM {_unnest("d", DELIVERY)} JOIN fresh USING (account, event_id)
)
"""

FRESH_ROWS = "SELECT account, event_id, accept_time FROM fresh"

# The instant, and then what was not stored: usually nothing, which spares a row for each event.
STORE = sa.text(f"""
WITH {NEW_KEYS}, {FOLLOWING}
SELECT now(), CAST(NULL AS bigint), CAST(NULL AS text)
UNION ALL
SELECT now(), account, event_id FROM e
WHERE NOT EXISTS (
    SELECT FROM new_keys k WHERE k.account = e.account AND k.event_id = e.event_id)
""")

STORE_MATCHES = sa.text(f"WITH {UNMATCHED}, {FOLLOWING} {FRESH_ROWS}")

# In steps, for groups with ordered deliveries: which events are new, the numbers, what follows.
ONLY_KEYS = sa.text(f"WITH {NEW_KEYS} {FRESH_ROWS}")

ONLY_MATCHES = sa.text(f"WITH {UNMATCHED} {FRESH_ROWS}")

TAKE_NUMBERS = sa.text(f"""
INSERT INTO sequences AS known (owner, subscription, resource, next_number, head_number)
SELECT owner, subscription, resource, 1 + wanted, 1 FROM {_unnest("l", LANE_COUNT)}
ON CONFLICT (owner, subscription, resource)
    DO UPDATE SET next_number = known.next_number + EXCLUDED.next_number - 1
RETURNING owner, subscription, resource, next_number, head_number
""")

STORE_FOLLOWING = sa.text(f"""
WITH fresh AS (SELECT * FROM {_unnest("f", FRESH)}), {FOLLOWING} SELECT
""")

KNOWN = sa.text(f"""
SELECT account, event_id, known.accept_time, known.sha256
FROM {_unnest("k", EVENT_KEY)} JOIN event_keys known USING (account, event_id)
""")

# A loose index scan walks from endpoint to endpoint, so that the backlog of one
# costs the others nothing; the walk begins after the endpoint where the last ended, and
# goes so far and no further. How far it came is asked for only where it found too little,
# since the walk ends early where it found enough.
# A parked endpoint is passed by; after its pause one delivery goes out, as a probe.
# Its state is looked up row by row: a hashed join would lose the order of the walk.
CLAIM = sa.text("""
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
        SELECT owner, endpoint, delivery_id, lease_owner AS old_owner, attempt_count AS old_begun,
               next_trigger AS old_trigger, requested_by AS old_requested_by,
               due_time AS old_due_time
        FROM deliveries
        WHERE owner = w.owner AND endpoint = w.endpoint AND due_time <= now()
        ORDER BY due_time
        LIMIT CASE WHEN s.trips IS NULL THEN CAST(:per_endpoint AS integer) ELSE 1 END
        FOR UPDATE SKIP LOCKED
    ) p
    WHERE w.due_time <= now() AND (s.open_until IS NULL OR s.open_until <= now())
      AND (w.owner, w.endpoint) NOT IN (
        SELECT * FROM unnest(CAST(:full_owner AS text[]), CAST(:full_endpoint AS text[])))
    LIMIT CAST(:claim_limit AS integer)
), walked AS (
    SELECT CASE WHEN (SELECT count(*) FROM picked) < CAST(:claim_limit AS integer) THEN
        (SELECT ARRAY[owner, endpoint] FROM walk
         WHERE steps = CAST(:most_endpoints AS integer)) END AS place
), taken AS (
    UPDATE deliveries d SET
        state = CASE WHEN d.end_time IS NULL THEN 'DELIVERING' ELSE d.state END,
        lease_owner = :lease_owner,
        lease_token = d.lease_token + 1,
        due_time = now() + CAST(:lease_us AS bigint) * interval '1 microsecond',
        attempt_count = d.attempt_count + 1,
        interrupted = d.interrupted + CASE WHEN p.old_owner IS NULL THEN 0 ELSE 1 END,
        next_trigger = CASE WHEN p.old_owner IS NULL THEN d.next_trigger ELSE 'RETRY' END
    FROM picked p
    WHERE d.owner = p.owner AND d.delivery_id = p.delivery_id
    RETURNING d.*, p.old_owner, p.old_begun, p.old_trigger, p.old_requested_by, p.old_due_time,
        p.steps
), probing AS (
    UPDATE endpoint_states s
    SET open_until = now() + CAST(:lease_us AS bigint) * interval '1 microsecond'
    FROM (SELECT DISTINCT owner, endpoint FROM picked) p
    WHERE s.owner = p.owner AND s.endpoint = p.endpoint
), cut_off AS (
    INSERT INTO attempts (owner, delivery_id, number, account, event_id, subscription,
        event_type, payload_version, resource, url_shown, url_hash, attempt_trigger,
        requested_by, status, failure_kind, error, start_time, next_attempt_time, settle_time)
    SELECT owner, delivery_id, old_begun, account, event_id, subscription,
        event_type, payload_version, resource, url_shown, url_hash, old_trigger,
        old_requested_by, 'INTERRUPTED', 'interrupted', :interrupted_error,
        old_due_time - CAST(:lease_us AS bigint) * interval '1 microsecond', now(), now()
    FROM taken WHERE old_owner IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT t.owner, t.delivery_id, t.lease_token, t.attempt_count, t.retries_used, t.interrupted,
    t.state, t.next_trigger, t.requested_by, t.account, t.event_id, t.subscription, t.event_type,
    t.payload_version, t.endpoint, t.resource, t.sequence, t.occurred_at,
    t.end_time IS NULL AND t.expire_time <= now() AS expired, t.cancelled_by, t.sequence_position,
    b.sealed_body, t.steps, walked.place[1] AS walked_owner, walked.place[2] AS walked_endpoint
FROM walked LEFT JOIN taken t ON true
LEFT JOIN bodies b ON b.owner = t.owner AND b.account = t.account AND b.event_id = t.event_id
    AND b.event_type = t.event_type AND b.payload_version = t.payload_version
""")

# Only rows whose lease is still held get an attempt. What is returned are the others, and the
# lanes in which a delivery has ended: usually nothing.
SETTLE = sa.text(f"""
WITH s AS (SELECT * FROM {_unnest("s", SETTLED)}), ended AS (
    UPDATE deliveries d SET
        state = CASE WHEN s.delay_us IS NOT NULL AND d.cancelled_by IS NOT NULL
                     THEN 'CANCELLED' ELSE s.state END,
        due_time = CASE WHEN d.cancelled_by IS NULL
                        THEN now() + s.delay_us * interval '1 microsecond' END,
        end_time = CASE WHEN s.delay_us IS NULL OR d.cancelled_by IS NOT NULL
                        THEN coalesce(d.end_time, now()) END,
        lease_owner = NULL,
        retries_used = s.retries_used,
        interrupted = CASE WHEN s.attempted THEN 0 ELSE d.interrupted END,
        attempt_count = d.attempt_count - CASE WHEN s.attempted THEN 0 ELSE 1 END,
        next_trigger = 'RETRY',
        failure_kind = s.failure_kind,
        response_code = s.response_code
    FROM s
    WHERE d.owner = s.owner AND d.delivery_id = s.delivery_id
      AND d.lease_token = s.lease_token AND d.lease_owner IS NOT NULL
    RETURNING d.owner, d.delivery_id, d.lease_token, d.account, d.event_id, d.subscription,
              d.event_type, d.payload_version, d.resource, d.due_time, d.end_time,
              d.sequence_position
), logged AS (
    INSERT INTO attempts (owner, delivery_id, number, account, event_id, subscription,
        event_type, payload_version, resource, url_shown, url_hash, attempt_trigger,
        requested_by, status, failure_kind, response_code, error, start_time, duration_us,
        dns_us, connect_us, tls_us, first_byte_us, next_attempt_time, sealed_exchange,
        settle_time)
    SELECT owner, delivery_id, s.of_number, e.account, e.event_id, e.subscription,
        e.event_type, e.payload_version, e.resource, s.of_url_shown, s.of_url_hash,
        s.of_attempt_trigger, s.of_requested_by, s.of_status, s.of_failure_kind,
        s.of_response_code, s.of_error, s.of_start_time, s.of_duration_us, s.of_dns_us,
        s.of_connect_us, s.of_tls_us, s.of_first_byte_us, e.due_time, s.of_sealed_exchange,
        now()
    FROM s JOIN ended e USING (owner, delivery_id, lease_token)
    WHERE s.attempted
)
{_LOST_AND_LANES}
""")

# The result of an attempt whose lease was lost is noted where the log says that it was cut off.
NOTE_LATE = sa.text(f"""
UPDATE attempts a SET error = a.error || l.note, response_code = l.response_code
FROM {_unnest("l", LATE)}
WHERE a.owner = l.owner AND a.delivery_id = l.delivery_id AND a.number = l.number
  AND a.status = 'INTERRUPTED' AND a.duration_us IS NULL AND a.error = :interrupted_error
""")

RELEASE_LEASES = sa.text(f"""
WITH s AS (SELECT * FROM {_unnest("s", RELEASE)}), ended AS (
    UPDATE deliveries d SET
        state = CASE WHEN d.end_time IS NOT NULL THEN d.state
                     WHEN d.cancelled_by IS NOT NULL THEN 'CANCELLED' ELSE 'PENDING' END,
        due_time = CASE WHEN d.cancelled_by IS NULL THEN
                        coalesce(now() + s.delay_us * interval '1 microsecond',
                                 CASE WHEN d.end_time IS NULL THEN d.expire_time END) END,
        end_time = CASE WHEN d.cancelled_by IS NULL THEN d.end_time
                        ELSE coalesce(d.end_time, now()) END,
        lease_owner = NULL,
        attempt_count = d.attempt_count - 1
    FROM s
    WHERE d.owner = s.owner AND d.delivery_id = s.delivery_id
      AND d.lease_token = s.lease_token AND d.lease_owner IS NOT NULL
    RETURNING d.owner, d.delivery_id, d.lease_token, d.subscription, d.resource, d.end_time,
              d.sequence_position
)
{_LOST_AND_LANES}
""")
