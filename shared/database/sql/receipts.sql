-- name: record
select record_receipts($1, $2, $3, $4, $5, $6)

-- name: prove
select prove_by_receipt($1, $2, $3)

-- name: pending_page
select distinct p.whatsapp_id
from (select whatsapp_id from pending_receipts where whatsapp_id > $1 order by whatsapp_id limit $2) p
order by p.whatsapp_id

-- name: join
select join_receipts($1, $2)

-- name: provable_page
-- People of these receipts to whom an attempt is without an answer: what was under way when they came may be over.
select distinct r.endpoint, r.phone_key
from pending_receipts r join unanswered_attempts u on u.endpoint = r.endpoint and u.phone_key = r.phone_key
where r.whatsapp_id = any ($1)

-- name: forget_attempts
delete from unanswered_attempts u
where u.finished_at < clock_timestamp() - make_interval(secs => $1)
    and not exists (select from due d where d.message = u.message and d.why = 'check')

-- name: forget
with gone as (
    delete from pending_receipts
    where whatsapp_id = any ($1) and received_at < clock_timestamp() - make_interval(secs => $2)
    returning 1
)
select count(*) from gone

-- name: deliveries
-- Of the messages that the accounts $1 sent longer than $2 ago, and not longer than $3 before that, the newest $4 each; only
-- since the account's receipts come. Groups are left out: each of their members has a receipt of its own, or none.
select e.id as endpoint, t.last_at,
    count(m.receipt) as sent,
    count(*) filter (where m.receipt = 'none') as undelivered
from unnest($1::text[]) as e (id)
left join receipt_times t on t.endpoint = e.id
left join lateral (
    select a.message from attempts a
    where a.endpoint = e.id and a.verdict = 'sent' and a.started_at > t.first_at
        and a.finished_at < now() - $2::interval and a.finished_at > now() - $2::interval - $3::interval
    order by a.finished_at desc limit $4
) a on true
left join lateral (
    -- The limit forbids a plan that reads all messages and joins afterwards.
    select x.receipt from messages x where x.id = a.message and x.phone not like '%@g.us' limit 1
) m on true
group by e.id, t.last_at
