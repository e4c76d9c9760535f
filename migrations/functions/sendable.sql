-- Why a message may not begin now; null: it may. The same sentence for peek, gate and feeding. It must stay so plain that
-- the planner merges it into the query around it: with clock_timestamp(), which is volatile, it read all messages, and a
-- gate of 20 took 0.3 s on 10,000 rows and minutes on a million.
create or replace view sendable as
select
    m.id, m.attempt, m.campaign,
    case
        when m.status not in ('queued', 'retrying') then 'moved_on'
        when coalesce(m.expires_at, c.expires_at) <= statement_timestamp() then 'expired'
        when c.token is not null and c.status <> 'running' then 'campaign_not_running'
        when (select k.stopped_lanes from control k) @> array[m.lane] then 'stopped'
        when exists (
            select from optouts o
            where o.phone_key = m.phone_key and (o.scope = 'all' or m.lane = 'bulk')) then 'suppressed'
    end as refusal,
    m.phone_key
from messages m
left join campaigns c on c.token = m.campaign;
