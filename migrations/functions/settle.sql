-- In plpgsql and with the first and the last id for the reasons that gate gives; the body of a function in SQL is planned without
-- the values of its arguments before Postgres 18.
create or replace function settle(
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
#variable_conflict use_column
-- Writes verdicts: the history, the message's next status, its `due` row. p_statuses: 'sent', 'failed',
-- 'retrying' (due after p_due_seconds) or 'sending' (the outcome is unknown; a check is due after p_due_seconds).
-- Answers the messages that it changed. Sent wins: it changes any message that is not sent; any other verdict changes a
-- message only while this very attempt is under way, otherwise it just completes the history. May be repeated.
declare
    v_first uuid;
    v_last uuid;
begin
select (array_agg(x order by x))[1], (array_agg(x order by x desc))[1] into v_first, v_last from unnest(p_messages) x;
return query with asked as (
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
        or exists (select from messages m where m.id = a.message and m.id between v_first and v_last and m.token = a.token)
        -- A late verdict of an attempt that was given up as unknown, while the next one may have begun.
        or exists (
            select from attempts u
            where u.message = a.message and u.message between v_first and v_last and u.number = a.number
                and u.verdict = 'unknown' and u.endpoint = a.endpoint and u.dispatcher = a.dispatcher)
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
        -- A cancelled campaign lets an attempt end; it gets no further one.
        status = case
            when a.status = 'retrying'
                and exists (select from campaigns c where c.token = m.campaign and c.status = 'canceled') then 'canceled'
            else a.status
        end,
        tries_used = m.tries_used + a.uses_try::integer,
        reason = a.reason,
        endpoint = a.endpoint,
        changed_at = clock_timestamp()
    from asked a
    left join closed x on x.token = a.token
    where m.id = a.message and m.id between v_first and v_last and (
        (a.status = 'sent' and m.status <> 'sent')
        or (a.status <> 'sent' and m.status = 'sending' and m.attempt = a.number and m.token = a.token
            -- 'sending' leaves the row as it is; only the end of the attempt tells the first call from a repetition.
            and (a.status <> 'sending' or x.token is not null)))
    returning m.id, m.campaign, m.lane, m.status, a.due_seconds, m.phone_key, a.endpoint as through
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
)
select c.id, c.status from changed c;
end
$$;
