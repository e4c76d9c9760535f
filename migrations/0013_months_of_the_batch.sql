-- The gate and the settlement as before, but planned for the months that their messages are of, not for all there are: with
-- twelve months of history a call was planned for fifteen partitions, at several places each. The first and the last of them,
-- constants to the planner, say which months; a join alone does not. (The list itself says so too, and cost a third more with
-- 100 messages: each was looked at for each month.) For this settle is in plpgsql: the body of a function in SQL is planned
-- without the values of its arguments before Postgres 18.
--
-- Who is being written to stands in the open attempt, since to look it up would plan for all months again.

alter table open_attempts add column phone_key text;
comment on column open_attempts.phone_key is 'Of the recipient, for the gap between two messages to one person.';

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

create or replace function gate(
    p_epoch bigint,
    p_dispatcher text,
    p_messages uuid[],
    p_numbers integer[],
    p_tokens uuid[],
    p_endpoints text[],
    p_slots integer[],
    p_seconds integer[],
    p_gaps double precision[] default null
) returns table (token uuid, outcome text) language plpgsql volatile
set plan_cache_mode = force_custom_plan
set lock_timeout = '200ms'
as $$
-- Begins attempts. For each token: 'passed' (its POST may leave within START_LIMIT), 'refused' (the row has moved on or
-- something forbids it), 'put_back' (the message may begin, but not through this endpoint now), 'later' (its recipient has
-- or gets another message within the gap), 'void' (the epoch is old). Repeating a call whose answer was lost passes again
-- for the same tokens and for nobody else. The arrays are sorted by message and have no message twice. p_seconds: how long
-- from now until nobody can wait for the answer. p_gaps: seconds since the recipient's last message at least, 0 none; null
-- stands for none at all, and costs nothing.
declare
    v_begun uuid[];
    v_later uuid[] := '{}';
    v_first uuid;
    v_last uuid;
begin
    select (array_agg(x order by x))[1], (array_agg(x order by x desc))[1] into v_first, v_last from unnest(p_messages) x;
    perform pg_advisory_xact_lock_shared(gate_key());
    if (select k.epoch from control k) is distinct from p_epoch then
        return query select t, 'void' from unnest(p_tokens) t;
        return;
    end if;

    if p_gaps is not null then
        -- One gate at a time for each of these people; in order, so that two that share some do not wait in a ring.
        perform pg_advisory_xact_lock(gap_key(), k.key) from (
            select distinct hashtext(m.phone_key) as key from unnest(p_messages, p_gaps) as a (message, gap)
            join messages m on m.id = a.message and m.id between v_first and v_last where a.gap > 0 order by 1) k;
        select coalesce(array_agg(x.message), '{}') into v_later from (
            select a.message, a.gap, m.phone_key, row_number() over (partition by m.phone_key order by a.message) as place
            from unnest(p_messages, p_gaps) as a (message, gap)
            join messages m on m.id = a.message and m.id between v_first and v_last where a.gap > 0) x
        where x.place > 1
            or exists (
                select from contacts c
                where c.phone_key = x.phone_key and c.last_sent_at > clock_timestamp() - make_interval(secs => x.gap))
            or exists (
                select from open_attempts o where o.phone_key = x.phone_key and o.token <> all (p_tokens));
    end if;

    -- Slots in their order, then messages in theirs: calls that share some of each wait for one another, but not in a ring.
    with opened as (
        insert into open_attempts
            (endpoint, slot, message, number, token, dispatcher, campaign, phone_key, started_at, deadline)
        select a.endpoint, a.slot, a.message, a.number, a.token, p_dispatcher, s.campaign, s.phone_key,
            clock_timestamp(), clock_timestamp() + make_interval(secs => a.seconds)
        from unnest(p_messages, p_numbers, p_tokens, p_endpoints, p_slots, p_seconds)
            as a (message, number, token, endpoint, slot, seconds)
        join sendable s on s.id = a.message and s.attempt = a.number - 1 and s.refusal is null
        where a.message <> all (v_later) and s.id between v_first and v_last
            and not exists (select from endpoints e where e.id = a.endpoint and e.suspended_at is not null)
        order by a.endpoint, a.slot
        on conflict do nothing
        returning open_attempts.message, open_attempts.number, open_attempts.token, open_attempts.endpoint,
            open_attempts.started_at
    ), begun as (
        update messages m set
            previous_status = m.status, status = 'sending', attempt = o.number, token = o.token,
            endpoint = o.endpoint, reason = null, changed_at = o.started_at
        from (select * from opened x order by x.message) o
        where m.id = o.message and m.id between v_first and v_last
            and m.attempt = o.number - 1 and m.status in ('queued', 'retrying')
        returning m.id, m.token
    ), begins as (
        delete from due d using begun b where d.message = b.id
    )
    select array_agg(b.token) into v_begun from begun b;

    if cardinality(v_begun) = cardinality(p_tokens) then
        return query select t, 'passed' from unnest(p_tokens) t;
        return;
    end if;

    -- Opened, but another assignment of the same message was quicker: nothing began.
    delete from open_attempts o using messages m
    where o.token = any (p_tokens) and o.token <> all (coalesce(v_begun, '{}'))
        and m.id = o.message and m.id between v_first and v_last and m.token is distinct from o.token;

    return query
    select a.token,
        case
            when o.token is not null then 'passed'
            when s.attempt = a.number - 1 and s.refusal is null and a.message = any (v_later) then 'later'
            when s.attempt = a.number - 1 and s.refusal is null then 'put_back'
            else 'refused'
        end
    from unnest(p_tokens, p_messages, p_numbers) as a (token, message, number)
    left join open_attempts o on o.token = a.token
    left join sendable s on s.id = a.message and s.id between v_first and v_last;
end
$$;

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
-- Writes verdicts: the history, the message's next status, its `due` row, the counts. p_statuses: 'sent', 'failed',
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
        previous_status = m.status,
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
select c.id, c.status from changed c;
end
$$;
