-- needs: join_receipts

create or replace function prove_by_receipt(p_shard integer, p_endpoint text, p_phone_key text) returns text
language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Whether a receipt proves an attempt of unknown outcome of this account to this person: 'proven', and its message is sent;
-- 'busy', something is under way to the person, whose receipt it may be; 'no'. It is a proof when nothing else can be meant:
-- a single message of theirs is without an answer, and since that attempt began exactly one WhatsApp id was reported by the
-- person, or under a hidden id of theirs, that is nobody's. Ids of messages that the phone itself sent have another shape;
-- those of the web client have not, but a webhook tells of them. Once the outcome is decided, only what came until then,
-- or within 90 seconds of the attempt's end, counts: later somebody may have written by hand.
declare
    v_attempt unanswered_attempts%rowtype;
    v_status text;
    v_until timestamptz;
    v_ids text[];
    v_names text[];
begin
    select u.* into v_attempt from unanswered_attempts u
    where u.endpoint = p_endpoint and u.phone_key = p_phone_key
    order by u.finished_at desc, u.number desc limit 1;
    if not found or exists (
        select from unanswered_attempts u
        where u.endpoint = p_endpoint and u.phone_key = p_phone_key and u.message <> v_attempt.message) then
        return 'no';
    end if;
    select m.status, case when m.status in ('unknown', 'retrying') then m.changed_at end into v_status, v_until
    from messages m where m.id = v_attempt.message for no key update;
    if v_status is null or v_status = 'sent' then
        return 'no';
    end if;
    v_until := case
        when exists (select from due d where d.message = v_attempt.message and d.why = 'check') then 'infinity'
        else greatest(v_until, v_attempt.finished_at + interval '90 seconds') end;
    v_names := p_phone_key || array(select h.lid from hidden_numbers h where h.phone_key = p_phone_key);
    v_ids := array(
        select r.whatsapp_id from pending_receipts r
        where r.endpoint = p_endpoint and r.phone_key = any (v_names) and r.whatsapp_id ~ '^3EB0[0-9A-F]{18}$'
            and not exists (select from inbound_ids i where i.whatsapp_id = r.whatsapp_id)
        group by r.whatsapp_id
        having min(r.received_at) between v_attempt.started_at and v_until
        limit 2);
    if v_ids = '{}' then
        return 'no';
    elsif exists (select from open_attempts o where o.endpoint = p_endpoint and o.phone_key = p_phone_key) then
        return 'busy';
    elsif cardinality(v_ids) > 1 then
        return 'no';
    end if;
    insert into whatsapp_ids (whatsapp_id, endpoint, message, number)
    values (v_ids[1], p_endpoint, v_attempt.message, v_attempt.number) on conflict do nothing;
    if not found then
        return 'no';
    end if;
    update attempts a set whatsapp_id = v_ids[1], reason = 'proven by a receipt'
    where a.message = v_attempt.message and a.number = v_attempt.number and a.verdict = 'unknown';
    perform join_receipts(p_shard, v_ids);
    return 'proven';
end
$$;
