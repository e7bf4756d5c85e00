"""
The statements of the queue on SQLite, most of them for one row.
"""

from dataclasses import replace

import sqlalchemy as sa

from dispatch_service.queue import layouts, moves
from dispatch_service.queue.claimed import CLAIMED
from dispatch_service.queue.dialects import SQLITE
from dispatch_service.queue.expire_times import USED_UP
from dispatch_service.queue.move import LEASE_HELD, Move
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

INSERT_KEY = sa.text(SQLITE.insert("event_keys", layouts.EVENT_KEYS_ROW))

INSERT_EVENT = sa.text(SQLITE.insert("events", layouts.EVENTS_ROW))

INSERT_BODY = sa.text(SQLITE.insert("bodies", layouts.BODIES_ROW))

# Another delivery of the owner may have the body already.
INSERT_MISSING_BODY = sa.text(
    f"{SQLITE.insert('bodies', layouts.BODIES_ROW)} ON CONFLICT DO NOTHING"
)

INSERT_DELIVERY = sa.text(SQLITE.insert("deliveries", layouts.DELIVERIES_ROW))

TAKE_POSITIONS = sa.text("""
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
SELECT w.owner, w.endpoint, w.steps,
    w.due_time <= :now AND w.owner NOT IN (SELECT value FROM json_each(:full_owners)) AS is_due
FROM walk w LEFT JOIN endpoint_states s USING (owner, endpoint)
WHERE w.steps = :most
   OR (w.due_time <= :now AND (s.open_until IS NULL OR s.open_until <= :now)
       AND w.owner NOT IN (SELECT value FROM json_each(:full_owners)))
LIMIT :walk_limit
""")

OPEN = sa.text("""
SELECT open_until FROM endpoint_states WHERE owner = :owner AND endpoint = :endpoint
""")

PROBE = sa.text("""
UPDATE endpoint_states SET open_until = :now + :lease_us, update_time = :now
WHERE owner = :owner AND endpoint = :endpoint
""")

_PICKED = replace(SQLITE, column="d.{}")

# Each column as the claim leaves it.
_AS_CLAIMED = ", ".join(
    f"{_PICKED.render(moves.CLAIM.columns.get(name, f'@{name}'))} AS {name}" for name in CLAIMED
)

PICK = sa.text(f"""
SELECT {_AS_CLAIMED}, d.url_shown, d.url_hash,
       {", ".join(f"d.{column} AS {name}" for name, column in layouts.OLD.items())},
       b.sealed_body, :now - d.create_time AS age,
       {_PICKED.render(moves.CLAIM.columns["expire_time"])} - :now AS time_left
FROM deliveries d
LEFT JOIN bodies b USING (owner, account, event_id, event_type, payload_version)
WHERE d.owner = :owner AND d.endpoint = :endpoint AND d.due_time <= :now
  AND d.delivery_id NOT IN (SELECT value FROM json_each(:held))
  AND (d.lease_owner IS NULL AND coalesce(d.wait_reason, '') <> 'inactive'
       OR d.due_time <= :trusted_until)
  AND NOT (:probes AND {_PICKED.render(USED_UP)})
ORDER BY d.due_time LIMIT :per_endpoint
""")

TAKE = sa.text(f"""
UPDATE deliveries SET
    {SQLITE.assignments(moves.CLAIM.columns)}
WHERE owner = :owner AND delivery_id = :delivery_id
""")

INSERT_INTERRUPTED = sa.text(f"""
{SQLITE.insert("attempts", layouts.INTERRUPTED_ROW)}
ON CONFLICT DO NOTHING
""")

HELD = sa.text("""
SELECT d.owner, d.delivery_id, d.lease_token, d.subscription, d.resource, d.sequence_position,
       d.cancelled_by, d.state
FROM json_each(:leases) j
JOIN deliveries d ON d.owner = json_extract(j.value, '$[0]')
                 AND d.delivery_id = json_extract(j.value, '$[1]')
                 AND d.lease_token = json_extract(j.value, '$[2]')
WHERE d.lease_owner IS NOT NULL
""")


def _end_lease(move: Move) -> sa.TextClause:
    return sa.text(f"""
UPDATE deliveries SET
    {SQLITE.assignments(move.columns)}
WHERE {SQLITE.render(LEASE_HELD)}
""")


SETTLE = _end_lease(moves.SETTLE)

REQUEUE_LEASE = _end_lease(moves.REQUEUE)

SUSPEND_LEASE = _end_lease(moves.SUSPEND)

_ATTEMPT = replace(SQLITE, special={"next_attempt_time": ":now + :delay_us"})

INSERT_ATTEMPT = sa.text(_ATTEMPT.insert("attempts", layouts.ATTEMPTS_ROW))

RECORD_LATE = sa.text("""
UPDATE attempts SET error = error || :note, response_code = :response_code
WHERE owner = :owner AND delivery_id = :delivery_id AND number = :number
  AND status = 'INTERRUPTED' AND duration_us IS NULL AND error = :interrupted_error
""")

CONFIRM_LATE = sa.text(f"""
UPDATE deliveries SET
    {SQLITE.assignments(moves.CONFIRM.columns)}
WHERE owner = :owner AND delivery_id = :delivery_id
  AND state IN ({moves.CONFIRM.sources})
RETURNING owner, subscription, resource, sequence_position
""")
