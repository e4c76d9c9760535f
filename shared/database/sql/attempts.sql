-- name: peek
-- What the gate will ask, before anybody sees "typing", with all that is needed to send.
select m.id, m.attempt, m.status, m.kind, m.phone, m.campaign, m.tries_used, m.crashes, m.on_unknown,
    coalesce(m.content, c.content) as content, coalesce(m.media, c.media) as media, s.refusal,
    f.filename, f.content_type, f.size, clock_timestamp() as looked_at,
    t.endpoints as talked_to_by,
    extract(epoch from clock_timestamp() - t.last_sent_at)::float8 as seconds_since_last,
    l.locked as locked_endpoints,
    (select jsonb_object_agg(e.id, extract(epoch from e.cold_held_until - clock_timestamp()))
        from endpoints e where e.cold_held_until > clock_timestamp()) as held_endpoints,
    -- A round that ended without an account ended as refused; a retry asks all of them anew.
    case m.status when 'retrying' then (
        select array_agg(distinct a.endpoint) from attempts a
        where a.message = m.id and a.verdict = 'elsewhere' and a.number > coalesce(
            (select max(r.number) from attempts r where r.message = m.id and r.verdict = 'refused'), 0))
    end as not_through
from unnest($1::uuid[]) as asked (id)
join messages m on m.id = asked.id
join sendable s on s.id = m.id
left join campaigns c on c.token = m.campaign
left join media f on f.id = coalesce(m.media, c.media)
left join lateral (
    -- Whom they wrote to last goes first, then who wrote to them.
    select array_agg(x.endpoint order by x.heard_at desc nulls last, x.noted_at desc nulls last, x.last_sent_at desc nulls last)
            as endpoints,
        max(x.last_sent_at) as last_sent_at
    from (
        select y.endpoint, max(y.heard_at) as heard_at, max(y.noted_at) as noted_at, max(y.last_sent_at) as last_sent_at
        from (
            select s.endpoint, null::timestamptz as heard_at, null::timestamptz as noted_at, s.last_sent_at
            from contacts s where s.phone_key = m.phone_key
            union all
            select h.endpoint, h.heard_at, h.noted_at, null from conversations h where h.phone_key = m.phone_key
        ) y group by y.endpoint) x) t on true
left join lateral (
    select jsonb_object_agg(x.endpoint, extract(epoch from x.until - clock_timestamp())) as locked
    from cold_locks x where x.phone_key = m.phone_key and x.until > clock_timestamp()) l on true

-- name: gate
-- No epoch is -1: nothing begins while Postgres has a lower beat number than was seen in Redis ($10), since it went back.
select token, outcome
from gate(case when $10::bigint <= (select b.last_value from beat_number b) then $1::bigint else -1 end,
    $2, $3, $4, $5, $6, $7, $8, $9)

-- name: settle
select message, status from settle_and_join($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: end_unsendable
select end_unsendable($1, $2, $3, $4)

-- name: note_cold_contact
select note_cold_contact($1, $2, $3, $4, $5)

-- name: count_crashes
update messages set crashes = crashes + 1 where id = any ($1) and status in ('queued', 'retrying')

-- name: killers
select m.id from messages m
where m.id = any ($1) and m.crashes >= $2 and m.status in ('queued', 'retrying')
