-- name: fire
-- Notes that an alert is on, and claims it for $5 if somebody is to be told now: nobody was yet, or $7 seconds ago ($7 0: never
-- again), and nobody is at it. The claim ends after $6 seconds, should its monitor die with it. Answers a row where it is claimed.
insert into alerts as a (name, endpoint, severity, text, since, claim, claimed_until)
values ($1, $2, $3, $4, $8, $5, clock_timestamp() + make_interval(secs => $6))
on conflict (name, endpoint) do update set
    severity = excluded.severity, text = excluded.text, seen_at = clock_timestamp(),
    claim = excluded.claim, claimed_until = excluded.claimed_until
where coalesce(a.claimed_until < clock_timestamp(), true)
    and coalesce($7 > 0 and a.sent_at < clock_timestamp() - make_interval(secs => $7), true)
returning a.since, a.sent_at

-- name: keep
-- These are still on, or wait to be. Not each second, for it writes a row each time.
update alerts a set seen_at = clock_timestamp()
from unnest($1::text[], $2::text[]) as k (name, endpoint)
where a.name = k.name and a.endpoint = k.endpoint and a.seen_at < clock_timestamp() - interval '5 s'

-- name: told
update alerts set sent_at = clock_timestamp(), claimed_until = null where name = $1 and endpoint = $2 and claim = $3

-- name: forget_untold
-- Those that were over before anybody could be told of them.
delete from alerts
where sent_at is null and seen_at < clock_timestamp() - make_interval(secs => $1)
    and coalesce(claimed_until < clock_timestamp(), true)

-- name: claim_over
-- Those of which somebody was told, and that no monitor has found on for $1 seconds.
update alerts a set claim = $2, claimed_until = clock_timestamp() + make_interval(secs => $3)
where a.sent_at is not null and a.seen_at < clock_timestamp() - make_interval(secs => $1)
    and coalesce(a.claimed_until < clock_timestamp(), true)
returning a.name, a.endpoint, a.severity, a.text, a.since, a.sent_at

-- name: forget
delete from alerts where name = $1 and endpoint = $2 and claim = $3
