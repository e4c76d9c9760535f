-- name: feedable_streams
-- Where the chunks go that wait to be fed, of campaigns that run.
select distinct c.lane, coalesce(c.endpoint, '') as endpoint
from campaigns c, control k
where c.finished_at is null and c.status = 'running' and c.expires_at > clock_timestamp()
    and c.lane <> all (k.stopped_lanes) and k.rebuild_started_at is null
    and exists (
        select from chunks h
        where h.campaign = c.token and h.closed_at is null
            and (h.fed_at is null or h.again_at <= clock_timestamp() or h.skipped <> '{}')
            and (h.feeding_until is null or h.feeding_until < clock_timestamp()))

-- name: claim_chunk
-- The next chunk of the campaign that has waited longest, for $2 seconds; $1: the streams that are full, as
-- '<lane>:<endpoint>'; $3: accounts that chunks which skipped them need not wait for any
-- longer. The campaign's row is locked so that two schedulers serve two campaigns.
with campaign as (
    select c.token, c.lane, coalesce(c.endpoint, '') as endpoint
    from campaigns c, control k
    where c.finished_at is null and c.status = 'running' and c.expires_at > clock_timestamp()
        and c.lane <> all (k.stopped_lanes) and k.rebuild_started_at is null
        and c.lane || ':' || coalesce(c.endpoint, '') <> all ($1::text[])
        and exists (
            select from chunks h
            where h.campaign = c.token and h.closed_at is null
                and (h.fed_at is null or h.again_at <= clock_timestamp() or h.skipped ?| $3::text[])
                and (h.feeding_until is null or h.feeding_until < clock_timestamp()))
    order by c.last_fed_at, c.token
    limit 1
    for no key update of c skip locked
), chunk as (
    select h.campaign, h.number, h.skipped, h.fed_at is null or h.again_at <= clock_timestamp() as whole
    from chunks h join campaign c on c.token = h.campaign
    where h.closed_at is null and (h.fed_at is null or h.again_at <= clock_timestamp() or h.skipped ?| $3::text[])
        and (h.feeding_until is null or h.feeding_until < clock_timestamp())
    order by h.number
    limit 1
    for no key update of h skip locked
), served as (
    update campaigns c set last_fed_at = clock_timestamp() from chunk h where c.token = h.campaign
)
-- again_at is cleared before its messages are looked up: what is postponed from now on is not of this feeding.
update chunks h set feeding_until = clock_timestamp() + make_interval(secs => $2),
    again_at = case when not x.whole then h.again_at end
from chunk x, campaign c
where h.campaign = x.campaign and h.number = x.number
returning h.campaign, h.number, h.first_id, h.last_id, h.feeding_until, c.lane, c.endpoint,
    case when x.whole then '{}' else x.skipped end as skipped, (select k.epoch from control k) as epoch

-- name: waiting_rows
-- With the account that each recipient stays with: the one that they wrote to last, or else that wrote to them.
select m.id, m.attempt, m.crashes, m.chosen_endpoint,
    coalesce(
        (select h.endpoint from conversations h where h.phone_key = m.phone_key
            order by h.heard_at desc, h.noted_at desc limit 1),
        (select t.endpoint from contacts t where t.phone_key = m.phone_key order by t.last_sent_at desc limit 1)
    ) as talked_to_by
from messages m
where m.id between $2 and $3 and m.campaign = $1 and m.status = 'queued'
order by m.id

-- name: mark_fed
-- Not when a rebuild or a resume has asked for the chunk again meanwhile: both clear feeding_until.
update chunks set fed_at = clock_timestamp(), feeding_until = null, skipped = $4
where campaign = $1 and number = $2 and feeding_until = $3

-- name: release_chunk
-- All of it is fed again, since nobody knows how much of it was.
update chunks set feeding_until = null, fed_at = null where campaign = $1 and number = $2 and feeding_until = $3
