create or replace function end_unsendable(p_messages uuid[], p_status text, p_reason text, p_shard integer default 0)
returns integer language sql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Ends waiting messages without an attempt: p_status is 'canceled', 'expired', 'suppressed' or 'failed'. Answers how many.
with changed as (
    update messages m set status = p_status, reason = p_reason, changed_at = clock_timestamp()
    where m.id = any (p_messages) and m.status in ('queued', 'retrying')
    returning m.id
), ended as (
    delete from due d using changed c where d.message = c.id
)
select count(*)::integer from changed
$$;
