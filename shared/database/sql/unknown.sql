-- name: bulk_timeout
set local statement_timeout = '300s'

-- name: page
-- Newest first; only those that are unknown are read.
select m.id, m.status, m.receipt, m.phone, m.endpoint, m.attempt, m.reason, coalesce(m.reference, c.reference) as reference,
    m.campaign, m.kind, m.created_at
from unknown_messages u
join messages m on m.id = u.message and m.status = 'unknown'
left join campaigns c on c.token = m.campaign
where u.message < $1
order by u.message desc limit $2

-- name: place
select m.campaign, m.status from messages m where m.id = $1

-- name: resolve_message
select resolve_unknown($1, array[$2::uuid], $3, null, $4)

-- name: resolve_campaign
select resolve_unknown($1, null, $2, $3, $4)

-- name: forget
select forget_unknown($1)
