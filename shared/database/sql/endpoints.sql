-- name: endpoints
select id, suspended_at, suspend_reason, cold_held_until, rate_profile
from endpoints where id = any ($1)

-- name: suspend
select suspend_endpoint($1, $2)

-- name: resume
update endpoints set suspended_at = null, suspend_reason = null where id = $1
