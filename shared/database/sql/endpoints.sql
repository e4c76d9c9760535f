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
