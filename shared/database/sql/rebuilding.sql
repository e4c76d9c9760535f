-- name: control
select epoch,
    rate_profile || coalesce(
        (select jsonb_build_object('endpoints', jsonb_object_agg(e.id, e.rate_profile))
            from own_rate_profiles e where e.rate_profile <> '{}' having count(*) > 0), '{}') as rate_profile,
    coalesce(rebuild_started_at > clock_timestamp() - make_interval(secs => $1), false) as rebuilding,
    rebuild_started_at is not null as unfinished
from control

-- name: lock_gate
-- First, in a statement of its own: what decides below must be read after whoever held it is done.
select pg_advisory_xact_lock(gate_key())

-- name: begin_rebuild
-- Not when the epoch has moved on since the caller looked: somebody else has rebuilt.
select case when k.epoch = $1 then begin_rebuild($2) end from control k

-- name: end_rebuild
select end_rebuild($1)

-- name: slots_in_use
-- Attempts under way, and the ms until nobody can be waiting for their answer.
select endpoint, slot, token, greatest(0, extract(epoch from deadline - clock_timestamp()) * 1000)::bigint as left_ms
from open_attempts where endpoint = any ($1)

-- name: recent_attempts
-- How many ms ago the last $2 attempts of each account ended, within a day, newest first.
select e.id as endpoint, (extract(epoch from clock_timestamp() - a.finished_at) * 1000)::bigint as age_ms
from unnest($1::text[]) as e (id)
cross join lateral (
    select t.finished_at from attempts t
    where t.endpoint = e.id and t.verdict <> 'not_sent' and t.finished_at > statement_timestamp() - interval '1 day'
    order by t.finished_at desc limit $2
) a
order by e.id, age_ms

-- name: sends_of_last_day
select endpoint, array_agg((extract(epoch from clock_timestamp() - finished_at) * 1000)::bigint) as ages_ms
from attempts
where endpoint = any ($1) and verdict in ('sent', 'unknown') and finished_at > statement_timestamp() - interval '1 day'
group by endpoint

-- name: suspended
select id, coalesce(suspend_reason, '') as reason from endpoints where suspended_at is not null
