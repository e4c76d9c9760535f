-- name: find_unanswered
select find_unanswered($1, $2)

-- name: claim_checks
-- Outcomes to be looked up now; each is looked up again after $2 seconds unless it is decided before. $3: the field with the
-- address of its file, by kind.
with wanted as (
    select d.message from due d
    where d.why = 'check' and d.due_at <= statement_timestamp()
    order by d.due_at limit $1
    for no key update skip locked
), claimed as (
    update due d set checks = d.checks + 1, due_at = clock_timestamp() + make_interval(secs => $2),
        first_check_at = coalesce(d.first_check_at, clock_timestamp())
    from wanted w where d.message = w.message
    returning d.message, d.first_check_at
)
select x.message, m.status = 'sending' as open, m.kind, m.phone, m.phone_key, m.endpoint,
    coalesce(m.content, c.content) as content, f.filename,
    coalesce(a.started_at, m.changed_at) as started_at, coalesce(a.finished_at, x.first_check_at) as finished_at,
    clock_timestamp() as claimed_at,
    extract(epoch from clock_timestamp() - x.first_check_at)::double precision as checked_for,
    number_at(m.endpoint, coalesce(a.started_at, m.changed_at)) as account,
    array(
        select n.name from sent_names n
        where n.url_sha256 = sha256(convert_to(coalesce(m.content, c.content) ->> ($3::jsonb ->> m.kind), 'UTF8'))) as sent_names
from claimed x
-- With limits, as in due.sql.
cross join lateral (select y.* from messages y where y.id = x.message limit 1) m
left join campaigns c on c.token = m.campaign
left join media f on f.id = coalesce(m.media, c.media)
left join lateral (select y.* from attempts y where y.message = m.id and y.number = m.attempt limit 1) a on true
order by x.message

-- name: look_again
update due set due_at = clock_timestamp() + make_interval(secs => $2) where message = $1 and why = 'check'

-- name: known_ids
select distinct whatsapp_id from whatsapp_ids where whatsapp_id = any ($1)

-- name: others_under_way
select exists (
    select from open_attempts o where o.endpoint = $1 and o.phone_key = $2 and o.message <> $3)

-- name: decide
select decide_unknown($1, $2, $3, $4, $5)
