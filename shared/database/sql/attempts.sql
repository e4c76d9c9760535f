-- name: peek
-- What the gate will ask, before anybody sees "typing", with all that is needed to send.
select m.id, m.attempt, m.status, m.kind, m.phone, m.campaign, m.tries_used, m.crashes, m.on_unknown,
    coalesce(m.content, c.content) as content, coalesce(m.media, c.media) as media, s.refusal,
    f.filename, f.content_type, f.size
from unnest($1::uuid[]) as asked (id)
join messages m on m.id = asked.id
join sendable s on s.id = m.id
left join campaigns c on c.token = m.campaign
left join media f on f.id = coalesce(m.media, c.media)

-- name: gate
select token, outcome from gate($1, $2, $3, $4, $5, $6, $7, $8)

-- name: settle
select message, status from settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: end_unsendable
select end_unsendable($1, $2, $3, $4)

-- name: count_crashes
update messages set crashes = crashes + 1 where id = any ($1) and status in ('queued', 'retrying')
