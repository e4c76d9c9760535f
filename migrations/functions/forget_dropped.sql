create or replace function forget_dropped(p_limit integer) returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Goes on with deleting what belonged to a dropped month: WhatsApp ids, of which it looks at about p_limit, then finished
-- campaigns, a hundredth as many at most since each has chunks, then the notes of unknown outcomes. Answers how many blocks
-- or campaigns it was; 0: all is done.
declare
    v_month record;
    v_blocks bigint := greatest(p_limit / 100, 1);
    v_campaigns uuid[];
begin
    select * into v_month from dropped_months d order by d.first_id limit 1 for update skip locked;
    if not found then
        return 0;
    end if;
    if v_month.next_block * current_setting('block_size')::bigint < pg_relation_size('whatsapp_ids') then
        delete from whatsapp_ids w
        where w.ctid >= format('(%s,0)', v_month.next_block)::tid
            and w.ctid < format('(%s,0)', v_month.next_block + v_blocks)::tid
            and w.message >= v_month.first_id and w.message < v_month.end_id;
        update dropped_months d set next_block = d.next_block + v_blocks where d.first_id = v_month.first_id;
        return v_blocks;
    end if;
    v_campaigns := array(
        select c.token from campaigns c
        where c.last_id >= v_month.first_id and c.last_id < v_month.end_id and c.finished_at is not null
        limit greatest(p_limit / 100, 1));
    delete from chunks k where k.campaign = any (v_campaigns);
    delete from campaign_counts n where n.campaign = any (v_campaigns);
    delete from campaigns c where c.token = any (v_campaigns);
    if v_campaigns = '{}' then
        delete from unknown_messages u
        where u.message >= v_month.first_id and u.message < v_month.end_id
            and not exists (select from messages m where m.id = u.message);
        delete from dropped_months d where d.first_id = v_month.first_id;
    end if;
    return greatest(cardinality(v_campaigns), 1);
end
$$;
