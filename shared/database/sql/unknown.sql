-- name: bulk_timeout
set local statement_timeout = '300s'

-- name: page
-- Newest first; only those that are unknown are read.
select m.id, m.status, m.receipt, m.phone, m.endpoint, m.attempt, m.reason, coalesce(m.reference, c.reference) as reference,
    m.campaign, m.kind, m.created_at
from unknown_messages u
-- The limit forbids a plan that reads all messages and joins afterwards.
cross join lateral (select x.* from messages x where x.id = u.message and x.status = 'unknown' limit 1) m
left join campaigns c on c.token = m.campaign
where u.message < $1
order by u.message desc limit $2

-- name: place
select m.campaign, m.status from messages m where m.id = $1

-- name: resolve_message
select resolve_unknown($1, array[$2::uuid], $3, null, $4)

-- name: resolve_campaign
select resolve_unknown($1, null, $2, $3, $4)
