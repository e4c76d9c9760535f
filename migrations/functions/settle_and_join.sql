-- needs: join_receipts, settle

create or replace function settle_and_join(
    p_shard integer,
    p_messages uuid[],
    p_numbers integer[],
    p_tokens uuid[],
    p_endpoints text[],
    p_dispatchers text[],
    p_verdicts text[],
    p_http_statuses integer[],
    p_reasons text[],
    p_whatsapp_ids text[],
    p_statuses text[],
    p_due_seconds double precision[],
    p_uses_try boolean[]
) returns table (message uuid, status text) language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- settle, and then the receipts that were there before it. A webhook at the very same moment sees neither; the scheduler
-- joins those.
begin
    return query select s.message, s.status from settle(
        p_shard, p_messages, p_numbers, p_tokens, p_endpoints, p_dispatchers, p_verdicts, p_http_statuses, p_reasons,
        p_whatsapp_ids, p_statuses, p_due_seconds, p_uses_try) s;
    if exists (select from pending_receipts r where r.whatsapp_id = any (p_whatsapp_ids)) then
        perform join_receipts(p_shard, p_whatsapp_ids);
    end if;
end
$$;
