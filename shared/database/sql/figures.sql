-- name: control
-- Read every second, so nothing here may grow with the number of messages: `due` is counted up to $1 rows.
select
    k.epoch, k.stopped_lanes, k.stop_reason, k.rebuild_started_at is not null as rebuilding, k.went_back_at,
    open.under_way, open.overdue, open.overdue_seconds,
    waits.sends, waits.retries, waits.checks, waits.first_due_at
from control k
cross join (
    select
        count(*) as under_way,
        count(*) filter (where o.deadline < clock_timestamp()) as overdue,
        coalesce(extract(epoch from clock_timestamp() - min(o.deadline)), 0) as overdue_seconds
    from open_attempts o
) open
cross join (
    select
        count(*) filter (where d.why = 'send' and d.campaign is null) as sends,
        count(*) filter (where d.why = 'retry') as retries,
        count(*) filter (where d.why = 'check') as checks,
        min(d.due_at) as first_due_at
    from (select why, due_at, campaign from due limit $1) d
) waits

-- name: suspended_endpoints
select id, suspended_at, coalesce(suspend_reason, '') as reason, coalesce(suspended_by, 'operator') as by
from endpoints where suspended_at is not null

-- name: held_endpoints
select id, cold_held_until from endpoints where cold_held_until > clock_timestamp()

-- name: unresolved_optouts
-- Counted up to $1.
select count(*) as people, min(noted_at) as since from (select noted_at from unresolved_optouts where wish = 'out' limit $1) u

-- name: account_standings
select endpoint, state, since, coalesce(reason, '') as reason, until, slow_factor from account_feedback

-- name: open_campaigns
-- The newest $1 of those that are not over, through campaigns_open.
select c.token, c.status, c.kind, c.lane, c.reference, c.total, c.created_at,
    coalesce(n.sent, 0) as sent, coalesce(n.failed, 0) as failed, coalesce(n.unknown, 0) as unknown,
    coalesce(n.canceled, 0) as canceled, coalesce(n.expired, 0) as expired, coalesce(n.suppressed, 0) as suppressed,
    coalesce(n.delivered, 0) as delivered, coalesce(n.read, 0) as read,
    coalesce(n.possible_duplicates, 0) as possible_duplicates
from (
    select * from campaigns where finished_at is null order by created_at desc, token desc limit $1
) c
left join lateral (
    select sum(s.sent) as sent, sum(s.failed) as failed, sum(s.unknown) as unknown, sum(s.canceled) as canceled,
        sum(s.expired) as expired, sum(s.suppressed) as suppressed, sum(s.delivered) as delivered, sum(s.read) as read,
        sum(s.possible_duplicates) as possible_duplicates
    from campaign_counts s where s.campaign = c.token
) n on true
order by c.created_at desc, c.token desc

-- name: campaigns_by_status
select status, count(*) as campaigns, sum(total) as messages
from (select status, total from campaigns where finished_at is null limit $1) c
group by status

-- name: recent_attempts
-- What the accounts $1 did in the last $2, and of that in the last $4; newest first and at most $3 attempts each, through
-- attempts_by_endpoint. A message is looked up only where its attempt was not a success, which is the lesser part.
select
    e.id as endpoint,
    count(a.message) as attempts,
    count(*) filter (where a.verdict = 'sent') as sent,
    count(*) filter (where m.status = 'failed') as failed,
    count(*) filter (where m.status = 'unknown') as unknown,
    count(*) filter (where a.verdict not in ('sent', 'unknown') and m.status is null) as retried,
    count(*) filter (where a.finished_at > now() - $4::interval) as late_attempts,
    count(*) filter (where a.verdict = 'sent' and a.finished_at > now() - $4::interval) as late_sent,
    count(*) filter (where m.status = 'failed' and a.finished_at > now() - $4::interval) as late_failed,
    count(*) filter (where m.status = 'unknown' and a.finished_at > now() - $4::interval) as late_unknown,
    count(*) filter (
        where a.verdict not in ('sent', 'unknown') and m.status is null and a.finished_at > now() - $4::interval
    ) as late_retried
from unnest($1::text[]) as e (id)
left join lateral (
    select t.message, t.number, t.verdict, t.finished_at from attempts t
    where t.endpoint = e.id and t.finished_at > now() - $2::interval
    order by t.finished_at desc limit $3
) a on true
left join lateral (
    -- The limit forbids a plan that reads all messages and joins afterwards.
    select t.status from messages t
    where a.verdict <> 'sent' and t.id = a.message and t.attempt = a.number and t.status in ('failed', 'unknown')
    limit 1
) m on true
group by e.id

-- name: sizes
select
    pg_database_size(current_database()) as database_bytes,
    (select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'messages'::regclass) as messages_about,
    (select count(*) from pg_stat_activity where datname = current_database()) as connections,
    (select count(*) from media) as media_files,
    (select coalesce(sum(size), 0)::bigint from media) as media_bytes
