-- name: bulk_timeout
-- The pool's 15 s would cut off a million rows.
set local statement_timeout = '300s'

-- name: insert_campaign
insert into campaigns
    (token, status, kind, lane, content, media, endpoint, on_unknown, reference, total, rejected, duplicates, first_id,
     last_id, expires_at, send_at)
values ($1, case when $16::timestamptz is null then 'running' else 'scheduled' end, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
    coalesce($14, coalesce($16, clock_timestamp()) + make_interval(secs => $15)), $16)

-- name: own_media
update media set owner = $2 where id = $1 returning id

-- name: analyze
select analyze_messages()

-- name: campaigns_page
-- Newest first, through campaigns_by_age.
select c.*, n.*
from (
    select token, status, kind, lane, reference, total, rejected, duplicates, created_at, send_at, expires_at, finished_at
    from campaigns
    where $1::timestamptz is null or (created_at, token) < ($1, $2)
    order by created_at desc, token desc limit $3
) c
left join lateral (
    select coalesce(sum(s.sent), 0)::integer as sent, coalesce(sum(s.failed), 0)::integer as failed,
        coalesce(sum(s.unknown), 0)::integer as unknown, coalesce(sum(s.canceled), 0)::integer as canceled,
        coalesce(sum(s.expired), 0)::integer as expired, coalesce(sum(s.suppressed), 0)::integer as suppressed,
        coalesce(sum(s.delivered), 0)::integer as delivered, coalesce(sum(s.read), 0)::integer as read,
        coalesce(sum(s.possible_duplicates), 0)::integer as possible_duplicates,
        (select count(*) from open_attempts o where o.campaign = c.token)::integer as under_way,
        (select count(*) from due d where d.campaign = c.token and d.why = 'check')::integer as checking,
        (select count(*) from due d where d.campaign = c.token and d.why = 'retry')::integer as retrying
    from campaign_counts s where s.campaign = c.token
) n on true
order by c.created_at desc, c.token desc

-- name: campaign
-- With the counts of one moment. While an attempt is under way its row stands in open_attempts, afterwards in due.
select c.*, n.*, k.stopped_lanes, k.stop_reason,
    (select count(*) from campaigns r where r.finished_at is null and r.status = 'running')::integer as running_campaigns
from campaigns c
cross join control k
left join lateral (
    select coalesce(sum(s.sent), 0)::integer as sent, coalesce(sum(s.failed), 0)::integer as failed,
        coalesce(sum(s.unknown), 0)::integer as unknown, coalesce(sum(s.canceled), 0)::integer as canceled,
        coalesce(sum(s.expired), 0)::integer as expired, coalesce(sum(s.suppressed), 0)::integer as suppressed,
        coalesce(sum(s.delivered), 0)::integer as delivered, coalesce(sum(s.read), 0)::integer as read,
        coalesce(sum(s.possible_duplicates), 0)::integer as possible_duplicates,
        (select count(*) from open_attempts o where o.campaign = c.token)::integer as under_way,
        (select count(*) from due d where d.campaign = c.token and d.why = 'check')::integer as checking,
        (select count(*) from due d where d.campaign = c.token and d.why = 'retry')::integer as retrying
    from campaign_counts s where s.campaign = c.token
) n on true
where c.token = $1

-- name: campaign_range
select token, reference, first_id, last_id from campaigns where token = $1

-- name: chunks
select number, size, case when closed_at is not null then 'closed' when fed_at is not null then 'fed' else 'waiting' end
    as status
from chunks where campaign = $1 order by number limit $2

-- name: chunk_totals
select count(*)::integer as total,
    count(*) filter (where closed_at is not null)::integer as closed,
    count(*) filter (where closed_at is null and fed_at is not null)::integer as fed
from chunks where campaign = $1

-- name: suspended
select id from endpoints where suspended_at is not null and id = any ($1)

-- name: recent_sends
select endpoint, attempts, sent, since_first from recent_sends($1, $2, $3, $4, $5, $6, $7)

-- name: failure_reasons
-- Reads every message of the campaign (no index may name the status), so callers keep the answer for a while.
select coalesce(reason, '') as reason, count(*)::integer as messages
from messages where id between $2 and $3 and campaign = $1 and status = 'failed'
group by reason order by messages desc, reason limit $4

-- name: start
select start_campaigns($1) as token

-- name: pause
select pause_campaign($1)

-- name: resume
select resume_campaign($1)

-- name: cancel
select cancel_campaign($1)

-- name: retry
select retry_campaign($1, $2, $3, $4)

-- name: gate_lock
select pg_advisory_xact_lock(gate_key())

-- name: stopped
select stopped_lanes, stop_reason from control

-- name: set_stopped_lanes
select set_stopped_lanes($1, $2)

-- name: confirm_going_back
select confirm_going_back()
