-- needs: joinable_receipts

create or replace function join_receipts(p_shard integer, p_whatsapp_ids text[]) returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Joins what is pending for these ids; answers how many messages changed. A receipt proves that its attempt was sent: the
-- message becomes 'sent' from whatever status it has, as after a late verdict.
declare
    v_messages uuid[];
    v_pending tid[];
    v_changed integer;
begin
    v_messages := array(select distinct j.message from joinable_receipts(p_whatsapp_ids) j order by 1);
    if v_messages = '{}' then
        return 0;
    end if;
    -- First and in their order, as every batch does; what is read from them below is then what is changed.
    perform from messages m where m.id = any (v_messages) order by m.id for no key update;
    -- Without waiting: whoever holds one has heard it again, waits for these messages, and joins it after us.
    v_pending := array(
        select r.ctid from pending_receipts r
        where r.ctid = any (array(select j.pending_row from joinable_receipts(p_whatsapp_ids) j where j.message = any (v_messages)))
        for update skip locked);
    with joined as (
        select j.* from joinable_receipts(p_whatsapp_ids) j
        where j.message = any (v_messages) and j.pending_row = any (v_pending)
    ), taken as (
        -- By their place: joined by value, 2,000 took 3 s while the planner thought that they were few.
        delete from pending_receipts r where r.ctid = any (array(select j.pending_row from joined j))
    ), heard as (
        insert into receipt_times as t (endpoint, first_at, last_at)
        select j.endpoint, clock_timestamp(), clock_timestamp() from joined j group by j.endpoint order by j.endpoint
        on conflict (endpoint) do update set last_at = excluded.last_at where t.last_at < excluded.last_at - interval '1 minute'
    ), found as (
        select m.id, m.receipt, m.status, bool_or(j.receipt = 'read') or m.receipt = 'read' as is_read,
            max(j.number) as number
        from joined j join messages m on m.id = j.message
        where m.id = any (v_messages)
        group by m.id, m.receipt, m.status
    ), changed as (
        update messages m set
            receipt = case when f.is_read then 'read' else 'delivered' end,
            status = 'sent',
            reason = case when m.status = 'sent' then m.reason end,
            changed_at = case when m.status = 'sent' then m.changed_at else clock_timestamp() end
        from found f
        where m.id = f.id and m.id = any (v_messages)
            and (f.receipt = 'none' or (f.is_read and f.receipt <> 'read'))
        returning m.id, f.status as status_before, f.number
    ), proven as (
        update attempts a set verdict = 'sent' from changed c
        where a.message = c.id and a.message = any (v_messages) and a.number = c.number
            and c.status_before <> 'sent' and a.verdict = 'unknown'
    ), ended as (
        delete from due d using changed c where d.message = c.id and c.status_before <> 'sent'
    )
    select count(*) into v_changed from changed;
    return v_changed;
end
$$;
