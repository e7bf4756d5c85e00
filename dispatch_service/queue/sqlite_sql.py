"""
The statements of the queue on SQLite. Instants are integer microseconds.
"""

import sqlalchemy as sa

from service_runtime.database.instants import SQLITE_NOW

NOW = sa.text(f"SELECT {SQLITE_NOW}")

KNOWN = sa.text("""
SELECT k.account, k.event_id, k.accept_time, k.sha256
FROM json_each(:keys) j
JOIN event_keys k ON k.account = json_extract(j.value, '$[0]')
                 AND k.event_id = json_extract(j.value, '$[1]')
""")

UNMATCHED = sa.text("""
UPDATE events SET match_state = 'MATCHED'
WHERE match_state = 'PENDING_MATCH' AND EXISTS (
    SELECT 1 FROM json_each(:keys) j
    WHERE account = json_extract(j.value, '$[0]') AND event_id = json_extract(j.value, '$[1]'))
RETURNING account, event_id, accept_time
""")

STORE_KEY = sa.text("""
INSERT INTO event_keys (account, event_id, sha256, accept_time)
VALUES (:account, :event_id, :sha256, :now)
""")

STORE_EVENT = sa.text("""
INSERT INTO events (account, event_id, domain_event, resource, sequence, occurred_at,
                    accept_time, match_state, warehouses, order_id, email_hash, sealed_payload)
VALUES (:account, :event_id, :domain_event, :resource, :sequence, :occurred_at,
        :now, :match_state, :warehouses, :order_id, :email_hash, :sealed_payload)
""")

STORE_BODY = sa.text("""
INSERT INTO bodies (owner, account, event_id, event_type, payload_version,
                    sealed_body, sha256, body_bytes, create_time)
VALUES (:owner, :account, :event_id, :event_type, :payload_version,
        :sealed_body, :sha256, :body_bytes, :accept_time)
""")

STORE_DELIVERY = sa.text("""
INSERT INTO deliveries (owner, delivery_id, account, event_id, subscription, event_type,
    payload_version, endpoint, url_shown, url_hash, resource, sequence, occurred_at,
    create_time, state, due_time, expire_time, end_time, lease_owner, lease_token,
    attempt_count, retries_used, interrupted, next_trigger, requested_by, sequence_position,
    failure_kind)
VALUES (:owner, :delivery_id, :account, :event_id, :subscription, :event_type,
    :payload_version, :endpoint, :url_shown, :url_hash, :resource, :sequence, :occurred_at,
    :accept_time,
    CASE WHEN :failure_kind IS NOT NULL THEN 'FAILED'
         WHEN :leased THEN 'DELIVERING' ELSE 'PENDING' END,
    CASE WHEN :failure_kind IS NULL AND NOT :behind THEN
         :now + CASE WHEN :leased THEN :lease_us ELSE 0 END END,
    :accept_time + :lifetime_us,
    CASE WHEN :failure_kind IS NOT NULL THEN :now END,
    CASE WHEN :leased THEN :lease_owner END,
    CASE WHEN :leased THEN 1 ELSE 0 END,
    CASE WHEN :leased THEN 1 ELSE 0 END, 0, 0,
    :next_trigger, :requested_by, :sequence_position, :failure_kind)
""")

TAKE_NUMBERS = sa.text("""
INSERT INTO sequences (owner, subscription, resource, next_number, head_number)
VALUES (:owner, :subscription, :resource, 1 + :wanted, 1)
ON CONFLICT (owner, subscription, resource) DO UPDATE SET next_number = next_number + :wanted
RETURNING next_number - :wanted, head_number
""")

# A loose index scan, as on PostgreSQL: from one endpoint to the first row of the next, which
# is the earliest; the rows are picked endpoint by endpoint.
# It ends at the limit, or says with its last row how far it came. A comparison of pairs
# would be sought in the index by the owner alone.
WALK = sa.text("""
WITH RECURSIVE walk(owner, endpoint, due_time, steps) AS (
    SELECT * FROM (
        SELECT owner, endpoint, due_time, 1 FROM deliveries
        WHERE due_time IS NOT NULL AND (owner, endpoint) > (:owner, :endpoint)
        ORDER BY owner, endpoint, due_time LIMIT 1
    )
    UNION ALL
    SELECT d.owner, d.endpoint, d.due_time, w.steps + 1
    FROM walk w CROSS JOIN deliveries d ON d.rowid = coalesce(
        (SELECT n.rowid FROM deliveries n
         WHERE n.due_time IS NOT NULL AND n.owner = w.owner AND n.endpoint > w.endpoint
         ORDER BY n.endpoint, n.due_time LIMIT 1),
        (SELECT n.rowid FROM deliveries n
         WHERE n.due_time IS NOT NULL AND n.owner > w.owner
         ORDER BY n.owner, n.endpoint, n.due_time LIMIT 1)
    )
    WHERE w.steps < :most
)
SELECT w.owner, w.endpoint, w.steps, w.due_time <= :now AS is_due
FROM walk w LEFT JOIN endpoint_states s USING (owner, endpoint)
WHERE w.steps = :most
   OR (w.due_time <= :now AND (s.open_until IS NULL OR s.open_until <= :now))
LIMIT :walk_limit
""")

OPEN = sa.text("""
SELECT open_until FROM endpoint_states WHERE owner = :owner AND endpoint = :endpoint
""")

PROBE = sa.text("""
UPDATE endpoint_states SET open_until = :now + :lease_us
WHERE owner = :owner AND endpoint = :endpoint
""")

PICK = sa.text("""
SELECT d.*, b.sealed_body, d.end_time IS NULL AND d.expire_time <= :now AS expired
FROM deliveries d
LEFT JOIN bodies b USING (owner, account, event_id, event_type, payload_version)
WHERE d.owner = :owner AND d.endpoint = :endpoint AND d.due_time <= :now
ORDER BY d.due_time LIMIT :per_endpoint
""")

TAKE = sa.text("""
UPDATE deliveries SET
    state = CASE WHEN end_time IS NULL THEN 'DELIVERING' ELSE state END,
    lease_owner = :lease_owner, lease_token = :lease_token, due_time = :now + :lease_us,
    attempt_count = :attempt_count, interrupted = :interrupted, next_trigger = :next_trigger
WHERE owner = :owner AND delivery_id = :delivery_id
""")

CUT_OFF = sa.text("""
INSERT INTO attempts (owner, delivery_id, number, account, event_id, subscription,
    event_type, payload_version, resource, url_shown, url_hash, attempt_trigger,
    requested_by, status, failure_kind, error, start_time, next_attempt_time, settle_time)
VALUES (:owner, :delivery_id, :number, :account, :event_id, :subscription,
    :event_type, :payload_version, :resource, :url_shown, :url_hash, :attempt_trigger,
    :requested_by, 'INTERRUPTED', 'interrupted', :error, :start_time, :now, :now)
ON CONFLICT DO NOTHING
""")

SETTLE = sa.text("""
UPDATE deliveries SET
    state = CASE WHEN :delay_us IS NOT NULL AND cancelled_by IS NOT NULL
                 THEN 'CANCELLED' ELSE :state END,
    due_time = CASE WHEN cancelled_by IS NULL THEN :now + :delay_us END,
    end_time = CASE WHEN :delay_us IS NULL OR cancelled_by IS NOT NULL
                    THEN coalesce(end_time, :now) END,
    lease_owner = NULL,
    retries_used = :retries_used,
    interrupted = CASE WHEN :attempted THEN 0 ELSE interrupted END,
    attempt_count = attempt_count - CASE WHEN :attempted THEN 0 ELSE 1 END,
    next_trigger = 'RETRY',
    failure_kind = :failure_kind,
    response_code = :response_code
WHERE owner = :owner AND delivery_id = :delivery_id
  AND lease_token = :lease_token AND lease_owner IS NOT NULL
""")

HELD = sa.text("""
SELECT d.owner, d.delivery_id, d.lease_token, d.subscription, d.resource, d.sequence_position,
       d.cancelled_by
FROM json_each(:leases) j
JOIN deliveries d ON d.owner = json_extract(j.value, '$[0]')
                 AND d.delivery_id = json_extract(j.value, '$[1]')
                 AND d.lease_token = json_extract(j.value, '$[2]')
WHERE d.lease_owner IS NOT NULL
""")

LOG = sa.text("""
INSERT INTO attempts (owner, delivery_id, number, account, event_id, subscription,
    event_type, payload_version, resource, url_shown, url_hash, attempt_trigger,
    requested_by, status, failure_kind, response_code, error, start_time, duration_us,
    dns_us, connect_us, tls_us, first_byte_us, next_attempt_time, sealed_exchange,
    settle_time)
VALUES (:owner, :delivery_id, :number, :account, :event_id, :subscription,
    :event_type, :payload_version, :resource, :url_shown, :url_hash, :attempt_trigger,
    :requested_by, :status, :failure_kind, :response_code, :error, :start_time, :duration_us,
    :dns_us, :connect_us, :tls_us, :first_byte_us, :now + :delay_us, :sealed_exchange, :now)
""")

NOTE_LATE = sa.text("""
UPDATE attempts SET error = error || :note, response_code = :response_code
WHERE owner = :owner AND delivery_id = :delivery_id AND number = :number
  AND status = 'INTERRUPTED' AND duration_us IS NULL AND error = :interrupted_error
""")

RELEASE_LEASES = sa.text("""
UPDATE deliveries SET
    state = CASE WHEN end_time IS NOT NULL THEN state
                 WHEN cancelled_by IS NOT NULL THEN 'CANCELLED' ELSE 'PENDING' END,
    due_time = CASE WHEN cancelled_by IS NULL THEN
                    coalesce(:now + :delay_us, CASE WHEN end_time IS NULL THEN expire_time END) END,
    end_time = CASE WHEN cancelled_by IS NULL THEN end_time ELSE coalesce(end_time, :now) END,
    lease_owner = NULL,
    attempt_count = attempt_count - 1
WHERE owner = :owner AND delivery_id = :delivery_id
  AND lease_token = :lease_token AND lease_owner IS NOT NULL
""")
