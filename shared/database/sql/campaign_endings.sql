-- name: complete_campaigns
-- Campaigns whose messages have all ended.
select c.token
from campaigns c
where c.finished_at is null and c.status <> 'scheduled' and c.total <= (
    select coalesce(sum(n.sent + n.failed + n.unknown + n.canceled + n.expired + n.suppressed), 0)
    from campaign_counts n where n.campaign = c.token)
limit $1

-- name: finish_campaign
select finish_campaign($1)

-- name: fed_chunks
-- The next $3 chunks after ($1, $2) that were fed and are not closed, of campaigns that run, with the seconds since.
select h.campaign, h.number, h.first_id, h.last_id, c.lane, coalesce(c.endpoint, '') as endpoint, h.fed_at,
    extract(epoch from clock_timestamp() - h.fed_at)::double precision as age
from chunks h
join campaigns c on c.token = h.campaign
cross join control k
where (h.campaign, h.number) > ($1, $2) and h.closed_at is null and h.fed_at is not null
    -- Others come back by themselves.
    and h.again_at is null and h.skipped = '{}'
    and c.finished_at is null and c.status = 'running' and c.lane <> all (k.stopped_lanes)
order by h.campaign, h.number
limit $3

-- name: lock_campaign
-- Before anything of a campaign is read that decides about it: what changes campaigns locks this row first.
select c.status, c.expires_at <= clock_timestamp() as expired, c.finished_at is not null as finished
from campaigns c where c.token = $1
for no key update

-- name: review_chunk
-- A chunk fed at $3 whose entries are all gone from Redis: with messages that still wait their entries were lost, and it
-- is fed again; with none open it is closed. Answers how many waited and how many are open. Its messages are those between
-- $4 and $5; with the chunk's own columns in their place the planner expects a ninth of all messages and may read them all,
-- 4 s with ten million.
with stands as (
    select count(*) filter (where m.status = 'queued') as waiting,
        count(*) filter (where m.status in ('queued', 'sending', 'retrying')) as open
    from messages m
    where m.id between $4 and $5 and m.campaign = $1
), marked as (
    update chunks h set
        fed_at = case when s.waiting > 0 then null else h.fed_at end,
        closed_at = case when s.open = 0 then clock_timestamp() end
    from stands s
    where h.campaign = $1 and h.number = $2 and h.fed_at = $3 and h.closed_at is null
        and (s.waiting > 0 or s.open = 0)
)
select waiting, open from stands

-- name: ending_campaigns
-- Campaigns that were cancelled or whose time is over, with messages that may still wait.
select c.token
from campaigns c
where c.finished_at is null and (c.status = 'canceled' or c.expires_at <= clock_timestamp())
    and exists (select from chunks h where h.campaign = c.token and h.closed_at is null)
order by c.token

-- name: open_chunk
-- The next chunk after number $2 that is not closed.
select h.number, h.first_id, h.last_id
from chunks h where h.campaign = $1 and h.number > $2 and h.closed_at is null
order by h.number limit 1

-- name: waiting_in_chunk
select m.id from messages m
where m.id between $2 and $3 and m.campaign = $1 and m.status in ('queued', 'retrying')
order by m.id limit $4

-- name: close_chunk
-- A chunk, from $3 to $4, in which nothing is open.
update chunks h set closed_at = clock_timestamp()
where h.campaign = $1 and h.number = $2 and h.closed_at is null and not exists (
    select from messages m
    where m.id between $3 and $4 and m.campaign = $1
        and m.status in ('queued', 'sending', 'retrying'))

-- name: end_unsendable
select end_unsendable($1, $2, $3, $4)
