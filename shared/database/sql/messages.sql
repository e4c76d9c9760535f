-- name: insert_messages
-- Single sends: row, due row, the owner of its media and the answer kept under an Idempotency-Key in one statement, many
-- requests at once. Answers those whose key was taken: nothing of them was written.
with asked as (
    select * from unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::uuid[], $8::text[], $9::text[],
        $10::text[], $11::timestamptz[], $12::float8[], $13::text[], $14::text[], $15::bytea[], $16::smallint[],
        $17::bytea[], $18::timestamptz[])
        as a (id, lane, kind, phone, phone_key, content, media, chosen_endpoint, on_unknown, reference, expires_at,
              expires_after, caller, key, request, answer_status, answer_body, send_at)
), kept as (
    -- Waits for another gateway's batch with the same key; in the order of keys, so that two never wait in a ring.
    insert into idempotency_keys (caller, key, request, status, body)
    select a.caller, a.key, a.request, a.answer_status, a.answer_body from asked a where a.key is not null
    order by a.caller, a.key
    on conflict do nothing
    returning caller, key, body
), accepted as (
    -- The body names the message, so it tells whose answer was kept where a batch has a key twice.
    select a.* from asked a
    where a.key is null
        or exists (select from kept k where k.caller = a.caller and k.key = a.key and k.body = a.answer_body)
), inserted as (
    insert into messages
        (id, lane, kind, phone, phone_key, content, media, chosen_endpoint, on_unknown, reference, expires_at,
         send_at)
    select a.id, a.lane, a.kind, a.phone, a.phone_key, a.content, a.media, a.chosen_endpoint, a.on_unknown, a.reference,
        coalesce(a.expires_at, coalesce(a.send_at, clock_timestamp()) + make_interval(secs => a.expires_after)), a.send_at
    from accepted a
), waits as (
    -- What is for later is not enqueued by the caller; it waits for its time here.
    insert into due (message, due_at, why, lane, enqueued_at)
    select a.id, coalesce(a.send_at, clock_timestamp()), 'send', a.lane,
        case when a.send_at is null then clock_timestamp() end
    from accepted a
), owned as (
    update media f set owner = a.id from accepted a where f.id = a.media
)
select a.id from asked a where a.id not in (select c.id from accepted c)

-- name: mark_not_enqueued
-- So that the scheduler need not wait until the entry would be overdue.
update due set enqueued_at = null where message = any ($1) and why = 'send'

-- name: message
select m.id, m.campaign, m.lane, m.kind, m.phone, m.status, m.receipt, m.endpoint, m.chosen_endpoint, m.attempt,
    m.reason, coalesce(m.reference, c.reference) as reference, m.possible_duplicate, m.created_at, m.changed_at,
    coalesce(m.expires_at, c.expires_at) as expires_at, coalesce(m.send_at, c.send_at) as send_at, m.on_unknown
from messages m
left join campaigns c on c.token = m.campaign
where m.id = $1

-- name: attempts
-- The history, and the attempt under way without a verdict.
select number, endpoint, verdict, http_status, reason, whatsapp_id, started_at, finished_at
from attempts where message = $1
union all
select number, endpoint, null, null, null, null, started_at, null from open_attempts where message = $1
order by number

-- name: messages_page
-- Newest first. No index names the status, so a page looks at no more than $4 rows and says how far it came.
with seen as (
    select m.* from messages m where m.id < $1 order by m.id desc limit $4
), reach as (
    select count(*) as rows, (select s.id from seen s order by s.id limit 1) as last from seen
)
select reach.rows as seen_rows, reach.last as seen_last, page.*
from reach
left join lateral (
    select s.id, s.status, s.receipt, s.phone, s.endpoint, s.attempt, s.reason, s.reference, s.campaign, s.kind,
        s.created_at
    from seen s where $2::text is null or s.status = $2
    order by s.id desc limit $3
) page on true

-- name: campaign_messages_page
-- The messages of a campaign in the order of its recipients, as above.
with seen as (
    select m.* from messages m
    where m.id > $1 and m.id >= $5 and m.id <= $6 and m.campaign = $7
    order by m.id limit $4
), reach as (
    select count(*) as rows, (select s.id from seen s order by s.id desc limit 1) as last from seen
)
select reach.rows as seen_rows, reach.last as seen_last, page.*
from reach
left join lateral (
    select s.id, s.status, s.receipt, s.phone, s.endpoint, s.attempt, s.reason, coalesce(s.reference, $8) as reference,
        s.campaign, s.kind, s.created_at
    from seen s where $2::text is null or s.status = $2
    order by s.id limit $3
) page on true

-- name: cancel
select end_unsendable(array[$1::uuid], 'canceled', 'canceled by the caller', $2)
