-- Messages that wait outside a chunk. Where some thousands do, a plain join with `messages` reads all of them, since the
-- planner counts a look into every month for each; so each is looked up by itself, with a limit that forbids that plan.

-- name: claim_unqueued
-- Messages of $1 (lane) that wait outside a chunk, are due and not in Redis: stamped as enqueued, with all that their
-- entry needs, and the epoch for which it is. Two schedulers never claim the same rows.
with wanted as (
    select d.message
    from due d, control k
    where d.lane = $1 and d.why <> 'check' and d.due_at <= statement_timestamp() and d.enqueued_at is null
        and d.lane <> all (k.stopped_lanes) and k.rebuild_started_at is null
        and (d.campaign is null
            or exists (select from campaigns c where c.token = d.campaign and c.status = 'running'))
    order by d.due_at
    limit $2
    for no key update of d skip locked
), stamped as (
    update due d set enqueued_at = clock_timestamp() from wanted w where d.message = w.message
    returning d.message, d.lane, d.campaign, d.enqueued_at
)
select s.message, s.enqueued_at, m.attempt, m.crashes, coalesce(m.chosen_endpoint, c.endpoint, '') as endpoint,
    (select k.epoch from control k) as epoch
from stamped s
cross join lateral (
    select x.attempt, x.crashes, x.chosen_endpoint from messages x where x.id = s.message limit 1) m
left join campaigns c on c.token = s.campaign
order by s.message

-- name: release_unqueued
-- What could not be enqueued after all.
update due d set enqueued_at = null
from unnest($1::uuid[], $2::timestamptz[]) as s (message, enqueued_at)
where d.message = s.message and d.enqueued_at = s.enqueued_at

-- name: mark_lost
-- Messages of a stream whose entry should have been taken long ago, since it is older by $3 seconds than everything in
-- there: it was lost. $2: the endpoint that the caller chose, '' = the lane that all share.
with lost as (
    select d.message
    from due d
    cross join lateral (select x.chosen_endpoint from messages x where x.id = d.message limit 1) m
    left join campaigns c on c.token = d.campaign
    where d.lane = $1 and d.why <> 'check' and coalesce(m.chosen_endpoint, c.endpoint, '') = $2
        and d.due_at < statement_timestamp() - make_interval(secs => $3)
        and d.enqueued_at < clock_timestamp() - make_interval(secs => $3)
    order by d.due_at
    limit $4
    for no key update of d skip locked
)
update due d set enqueued_at = null from lost l where d.message = l.message

-- name: chosen_endpoints
-- Endpoints that callers chose for messages that wait outside a chunk, among the $1 that wait longest.
select distinct d.lane, coalesce(m.chosen_endpoint, c.endpoint) as endpoint
from (select message, lane, campaign from due where why <> 'check' and enqueued_at is not null order by due_at limit $1) d
cross join lateral (select x.chosen_endpoint from messages x where x.id = d.message limit 1) m
left join campaigns c on c.token = d.campaign
where coalesce(m.chosen_endpoint, c.endpoint) is not null

-- name: mark_moved_on
-- A dispatcher that is gone may have settled these in Postgres and not in Redis: entry $2 of message $1 is over.
update due d set enqueued_at = null
from unnest($1::uuid[], $2::integer[]) as e (message, attempt)
cross join lateral (select x.attempt from messages x where x.id = e.message limit 1) m
where d.message = e.message and m.attempt >= e.attempt and d.why <> 'check'

-- name: expired
-- The next $2 messages after $1 that wait outside a chunk, and whether their time is over.
select d.message, coalesce(m.expires_at, c.expires_at) <= clock_timestamp() as expired
from due d
cross join lateral (select x.expires_at from messages x where x.id = d.message limit 1) m
left join campaigns c on c.token = d.campaign
where d.message > $1 and d.why <> 'check'
order by d.message
limit $2
