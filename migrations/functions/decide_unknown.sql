create or replace function decide_unknown(
    p_message uuid, p_whatsapp_id text, p_reason text, p_shard integer default 0, p_resends integer default 3
) returns text language plpgsql volatile
as $$
-- What a checked outcome becomes: with p_whatsapp_id (found in the account's chat storage) 'sent'; without one, what the
-- message's on_unknown says: 'unknown', or 'retrying' as a possible duplicate, after p_resends of which it is 'unknown'
-- too. Answers the new status; null: it is not being checked any more, or the id proves another message, so that the next
-- check has to look for another.
declare
    v_message messages%rowtype;
    v_status text;
begin
    select * into v_message from messages m where m.id = p_message for no key update;
    if v_message.status is distinct from 'sending'
        or not exists (select from due d where d.message = p_message and d.why = 'check') then
        -- A verdict written at the same moment as find_unanswered ran leaves a check behind.
        delete from due d where d.message = p_message and d.why = 'check' and v_message.status is distinct from 'sending';
        return null;
    end if;
    if p_whatsapp_id is not null then
        insert into whatsapp_ids (whatsapp_id, endpoint, message, number)
        values (p_whatsapp_id, v_message.endpoint, p_message, v_message.attempt) on conflict do nothing;
        if not found and not exists (
            select from whatsapp_ids w
            where w.whatsapp_id = p_whatsapp_id and w.endpoint = v_message.endpoint and w.message = p_message) then
            return null;
        end if;
        v_status := 'sent';
    else
        v_status := case
            when v_message.on_unknown = 'hold' then 'unknown'
            when exists (select from campaigns c where c.token = v_message.campaign and c.status = 'canceled') then 'unknown'
            when (select count(*) from attempts a where a.message = p_message and a.verdict = 'unknown') > p_resends
                then 'unknown'
            else 'retrying' end;
    end if;
    update messages m set status = v_status, reason = p_reason,
        possible_duplicate = m.possible_duplicate or v_status = 'retrying', changed_at = clock_timestamp()
    where m.id = p_message;
    if v_status = 'sent' then
        update attempts a set verdict = 'sent', reason = p_reason, whatsapp_id = p_whatsapp_id
        where a.message = p_message and a.number = v_message.attempt;
    end if;
    if v_status = 'retrying' then
        update due set why = 'retry', due_at = clock_timestamp(), enqueued_at = null where message = p_message;
    else
        delete from due where message = p_message;
    end if;
    return v_status;
end
$$;
