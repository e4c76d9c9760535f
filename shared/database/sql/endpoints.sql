-- name: endpoints
select e.id, e.suspended_at, e.suspend_reason, e.suspended_by, e.cold_held_until, e.rate_profile,
    o.rate_profile as rate_in_force, f.state, f.since, f.until, f.reason
from endpoints e
join own_rate_profiles o on o.id = e.id
left join account_feedback f on f.endpoint = e.id
where e.id = any ($1)

-- name: suspend
select suspend_endpoint($1, $2)

-- name: resume
select resume_endpoint($1)

-- name: release_hold
select release_hold($1)

-- name: ages
-- Days since each account was first seen here; one that is new is noted.
with new as (
    insert into endpoints (id) select unnest($1::text[]) order by 1 on conflict (id) do nothing
)
select e.id, coalesce(extract(epoch from clock_timestamp() - p.first_seen_at) / 86400, 0)::float8 as days
from unnest($1::text[]) as e (id) left join endpoints p on p.id = e.id
