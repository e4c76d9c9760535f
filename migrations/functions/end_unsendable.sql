create or replace function end_unsendable(p_messages uuid[], p_status text, p_reason text, p_shard integer default 0)
returns integer language sql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Ends waiting messages without an attempt: p_status is 'canceled', 'expired', 'suppressed' or 'failed'. Answers how many.
with changed as (
    update messages m set previous_status = m.status, status = p_status, reason = p_reason, changed_at = clock_timestamp()
    where m.id = any (p_messages) and m.status in ('queued', 'retrying')
    returning m.id, m.campaign
), ended as (
    delete from due d using changed c where d.message = c.id
), counted as (
    insert into campaign_counts as n (campaign, shard, canceled, expired, suppressed, failed)
    select c.campaign, p_shard,
        case p_status when 'canceled' then count(*) else 0 end, case p_status when 'expired' then count(*) else 0 end,
        case p_status when 'suppressed' then count(*) else 0 end, case p_status when 'failed' then count(*) else 0 end
    from changed c where c.campaign is not null group by c.campaign order by c.campaign
    on conflict (campaign, shard) do update set
        canceled = n.canceled + excluded.canceled, expired = n.expired + excluded.expired,
        suppressed = n.suppressed + excluded.suppressed, failed = n.failed + excluded.failed
)
select count(*)::integer from changed
$$;
