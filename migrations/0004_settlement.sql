-- What follows an attempt, and what ends a message without one. Every function here changes `campaign_counts` in the
-- same statement as the rows that it counts.

create function settle(
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
) returns table (message uuid, status text) language sql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Writes verdicts: the history, the message's next status, its `due` row, the counts. p_statuses: 'sent', 'failed',
-- 'retrying' (due after p_due_seconds) or 'sending' (the outcome is unknown; a check is due after p_due_seconds).
-- Answers the messages that it changed. Sent wins: it changes any message that is not sent; any other verdict changes a
-- message only while this very attempt is under way, otherwise it just completes the history. May be repeated.
with asked as (
    select * from unnest(
        p_messages, p_numbers, p_tokens, p_endpoints, p_dispatchers, p_verdicts, p_http_statuses, p_reasons,
        p_whatsapp_ids, p_statuses, p_due_seconds, p_uses_try)
        as a (message, number, token, endpoint, dispatcher, verdict, http_status, reason, whatsapp_id, status,
              due_seconds, uses_try)
), closed as (
    delete from open_attempts o using asked a where o.token = a.token returning o.token, o.started_at
), history as (
    insert into attempts as h
        (message, number, endpoint, dispatcher, verdict, http_status, reason, whatsapp_id, started_at, finished_at)
    select a.message, a.number, a.endpoint, a.dispatcher, a.verdict, a.http_status, a.reason, a.whatsapp_id,
        coalesce(c.started_at, clock_timestamp()), clock_timestamp()
    from asked a left join closed c on c.token = a.token
    -- A dispatcher that never heard from the gate reports too; what did not begin must not stand where the attempt of this
    -- number will.
    where c.token is not null or a.status = 'sent'
        or exists (select from messages m where m.id = a.message and m.token = a.token)
        -- A late verdict of an attempt that was given up as unknown, while the next one may have begun.
        or exists (
            select from attempts u
            where u.message = a.message and u.number = a.number and u.verdict = 'unknown'
                and u.endpoint = a.endpoint and u.dispatcher = a.dispatcher)
    on conflict (message, number) do update set
        verdict = excluded.verdict, http_status = excluded.http_status, reason = excluded.reason,
        whatsapp_id = excluded.whatsapp_id, finished_at = excluded.finished_at
    where h.verdict = 'unknown' and excluded.verdict <> 'unknown'
), known as (
    insert into whatsapp_ids (whatsapp_id, endpoint, message, number)
    select a.whatsapp_id, a.endpoint, a.message, a.number from asked a where a.whatsapp_id is not null
    on conflict do nothing
), changed as (
    update messages m set
        previous_status = m.status,
        -- A cancelled campaign lets an attempt end; it gets no further one.
        status = case when a.status = 'retrying' and c.status = 'canceled' then 'canceled' else a.status end,
        tries_used = m.tries_used + a.uses_try::integer,
        reason = a.reason,
        endpoint = a.endpoint,
        changed_at = clock_timestamp()
    from asked a
    left join messages o on o.id = a.message
    left join campaigns c on c.token = o.campaign
    left join closed x on x.token = a.token
    where m.id = a.message and (
        (a.status = 'sent' and m.status <> 'sent')
        or (a.status <> 'sent' and m.status = 'sending' and m.attempt = a.number and m.token = a.token
            -- 'sending' leaves the row as it is; only the end of the attempt tells the first call from a repetition.
            and (a.status <> 'sending' or x.token is not null)))
    returning m.id, m.campaign, m.lane, m.status, m.previous_status, a.due_seconds, m.phone_key, a.endpoint as through
), met as (
    -- Sorted, since two batches may have the same people; grouped, since one may have a person twice.
    insert into contacts as t (phone_key, endpoint, last_sent_at)
    select c.phone_key, c.through, max(clock_timestamp()) from changed c where c.status = 'sent' group by 1, 2 order by 1, 2
    on conflict (phone_key, endpoint) do update set last_sent_at = excluded.last_sent_at
), waits as (
    -- Whoever settles parks the retry in Redis right after this, so it counts as enqueued.
    insert into due as d (message, due_at, why, campaign, lane, enqueued_at)
    select c.id, clock_timestamp() + make_interval(secs => c.due_seconds),
        case c.status when 'retrying' then 'retry' else 'check' end, c.campaign, c.lane,
        case c.status when 'retrying' then clock_timestamp() end
    from changed c where c.status in ('retrying', 'sending')
    on conflict (message) do update set
        due_at = excluded.due_at, why = excluded.why, enqueued_at = excluded.enqueued_at, checks = 0, first_check_at = null
    where not (d.why = 'check' and excluded.why = 'check')
), ended as (
    delete from due d using changed c where d.message = c.id and c.status not in ('retrying', 'sending')
), counted as (
    insert into campaign_counts as n (campaign, shard, sent, failed, unknown, canceled, expired, suppressed)
    select c.campaign, p_shard,
        count(*) filter (where c.status = 'sent') - count(*) filter (where c.previous_status = 'sent'),
        count(*) filter (where c.status = 'failed') - count(*) filter (where c.previous_status = 'failed'),
        count(*) filter (where c.status = 'unknown') - count(*) filter (where c.previous_status = 'unknown'),
        count(*) filter (where c.status = 'canceled') - count(*) filter (where c.previous_status = 'canceled'),
        count(*) filter (where c.status = 'expired') - count(*) filter (where c.previous_status = 'expired'),
        count(*) filter (where c.status = 'suppressed') - count(*) filter (where c.previous_status = 'suppressed')
    from changed c where c.campaign is not null and c.status is distinct from c.previous_status
    group by c.campaign order by c.campaign
    on conflict (campaign, shard) do update set
        sent = n.sent + excluded.sent, failed = n.failed + excluded.failed, unknown = n.unknown + excluded.unknown,
        canceled = n.canceled + excluded.canceled, expired = n.expired + excluded.expired,
        suppressed = n.suppressed + excluded.suppressed
)
select c.id, c.status from changed c
$$;

create function end_unsendable(p_messages uuid[], p_status text, p_reason text, p_shard integer default 0)
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

create function find_unanswered(p_check_seconds jsonb, p_limit integer default 500) returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Attempts whose answer nobody can still be waiting for: their outcome is unknown and a check is due.
-- p_check_seconds: from the deadline to the check, by kind of message. Answers how many it found.
declare
    v_found integer;
begin
    with overdue as (
        delete from open_attempts o where o.token in (
            select x.token from open_attempts x where x.deadline < clock_timestamp()
            order by x.deadline limit p_limit for update skip locked)
        returning o.*
    ), history as (
        insert into attempts (message, number, endpoint, dispatcher, verdict, reason, started_at, finished_at)
        select o.message, o.number, o.endpoint, o.dispatcher, 'unknown', 'no answer was recorded before its deadline',
            o.started_at, clock_timestamp()
        from overdue o
        on conflict do nothing
    ), waits as (
        insert into due (message, due_at, why, campaign, lane)
        select m.id, clock_timestamp() + make_interval(secs => (p_check_seconds ->> m.kind)::double precision), 'check',
            m.campaign, m.lane
        from overdue o
        join messages m on m.id = o.message and m.status = 'sending' and m.token = o.token
        on conflict (message) do nothing
    )
    select count(*) into v_found from overdue;
    return v_found;
end
$$;

create function decide_unknown(
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
    update messages m set previous_status = m.status, status = v_status, reason = p_reason,
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
    if v_message.campaign is not null then
        perform add_campaign_counts(v_message.campaign, p_shard, case v_status
            when 'retrying' then '{"possible_duplicates": 1}'::jsonb else jsonb_build_object(v_status, 1) end);
    end if;
    return v_status;
end
$$;

create function note_cold_contact(
    p_message uuid, p_endpoint text, p_seconds double precision, p_contacts integer, p_hold_seconds double precision
) returns boolean language plpgsql volatile
as $$
-- WhatsApp refused p_endpoint a new chat: not this recipient again through it for p_seconds; after p_contacts different
-- recipients within a day no new one at all for p_hold_seconds. Answers whether the account is held now.
declare
    v_count integer;
begin
    insert into cold_locks as l (phone_key, endpoint, until)
    select m.phone_key, p_endpoint, clock_timestamp() + make_interval(secs => p_seconds) from messages m where m.id = p_message
    on conflict (phone_key, endpoint) do update set locked_at = clock_timestamp(), until = excluded.until;
    select count(*) into v_count from cold_locks l
    where l.endpoint = p_endpoint and l.locked_at > clock_timestamp() - interval '1 day';
    if v_count < p_contacts then
        return false;
    end if;
    insert into endpoints as e (id, cold_held_until)
    values (p_endpoint, clock_timestamp() + make_interval(secs => p_hold_seconds))
    on conflict (id) do update set cold_held_until = excluded.cold_held_until;
    return true;
end
$$;
