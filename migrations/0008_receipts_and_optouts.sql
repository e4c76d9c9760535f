-- What comes back from WhatsApp: receipts, and who wants to hear no more.
--
-- Receipts converge whatever their order: each is inserted first and joined to its message when both are there, by whoever
-- comes second. `messages.receipt` only moves forward, and `campaign_counts` follows what really changed, so a receipt
-- that comes twice, or after a later one, changes nothing.

create table pending_receipts (
    whatsapp_id text not null,
    endpoint text not null,
    receipt text not null check (receipt in ('delivered', 'read')),
    received_at timestamptz not null default clock_timestamp(),
    primary key (whatsapp_id, endpoint, receipt)
);
comment on table pending_receipts is
    'Receipts whose WhatsApp id is no message''s yet. They may be there before the answer to the send; most that stay are of '
    'messages typed on the phone.';
comment on column pending_receipts.endpoint is 'The account that reported it, empty where the webhook does not say.';

create table receipt_times (
    endpoint text primary key,
    first_at timestamptz not null,
    last_at timestamptz not null
) with (fillfactor = 50);
comment on table receipt_times is
    'Since when an account''s receipts come, and when one came last, to the minute. One without a row has no webhook set up.';

-- Of the receipts pending for these ids, those that have a message. An id is random, so it names its message alone; the
-- endpoint only decides between two. An account whose address in the settings has changed is another endpoint and keeps
-- its receipts.
create function joinable_receipts(p_whatsapp_ids text[])
returns table (pending_row tid, receipt text, message uuid, number integer, endpoint text)
language sql stable
as $$
    select r.ctid, r.receipt, w.message, w.number, w.endpoint
    from pending_receipts r
    cross join lateral (
        -- The limit forbids a plan that reads all ids there are.
        select x.message, x.number, x.endpoint from whatsapp_ids x
        where x.whatsapp_id = r.whatsapp_id
        order by x.endpoint <> r.endpoint, x.endpoint limit 1
    ) w
    where r.whatsapp_id = any (p_whatsapp_ids)
$$;

create function join_receipts(p_shard integer, p_whatsapp_ids text[]) returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Joins what is pending for these ids; answers how many messages changed. A receipt proves that its attempt was sent: the
-- message becomes 'sent' from whatever status it has, as after a late verdict.
declare
    v_messages uuid[];
    v_changed integer;
begin
    v_messages := array(select distinct j.message from joinable_receipts(p_whatsapp_ids) j order by 1);
    if v_messages = '{}' then
        return 0;
    end if;
    -- First and in their order, as every batch does; what is read from them below is then what is changed.
    perform from messages m where m.id = any (v_messages) order by m.id for no key update;
    with joined as (
        select j.* from joinable_receipts(p_whatsapp_ids) j where j.message = any (v_messages)
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
            previous_status = m.status, status = 'sent',
            reason = case when m.status = 'sent' then m.reason end,
            changed_at = case when m.status = 'sent' then m.changed_at else clock_timestamp() end
        from found f
        where m.id = f.id and m.id = any (v_messages)
            and (f.receipt = 'none' or (f.is_read and f.receipt <> 'read'))
        returning m.id, m.campaign, f.receipt as receipt_before, f.is_read, f.status as status_before, f.number
    ), proven as (
        update attempts a set verdict = 'sent' from changed c
        where a.message = c.id and a.message = any (v_messages) and a.number = c.number
            and c.status_before <> 'sent' and a.verdict = 'unknown'
    ), ended as (
        delete from due d using changed c where d.message = c.id and c.status_before <> 'sent'
    ), counted as (
        -- A message that was read was delivered, so `delivered` counts it too.
        insert into campaign_counts as n
            (campaign, shard, delivered, read, sent, failed, unknown, canceled, expired, suppressed)
        select c.campaign, p_shard,
            count(*) filter (where c.receipt_before = 'none'),
            count(*) filter (where c.is_read and c.receipt_before <> 'read'),
            count(*) filter (where c.status_before <> 'sent'),
            -count(*) filter (where c.status_before = 'failed'), -count(*) filter (where c.status_before = 'unknown'),
            -count(*) filter (where c.status_before = 'canceled'), -count(*) filter (where c.status_before = 'expired'),
            -count(*) filter (where c.status_before = 'suppressed')
        from changed c where c.campaign is not null group by c.campaign order by c.campaign
        on conflict (campaign, shard) do update set
            delivered = n.delivered + excluded.delivered, read = n.read + excluded.read,
            sent = n.sent + excluded.sent, failed = n.failed + excluded.failed, unknown = n.unknown + excluded.unknown,
            canceled = n.canceled + excluded.canceled, expired = n.expired + excluded.expired,
            suppressed = n.suppressed + excluded.suppressed
    )
    select count(*) into v_changed from changed;
    return v_changed;
end
$$;

create function record_receipts(p_shard integer, p_whatsapp_ids text[], p_endpoint text, p_receipt text)
returns integer language plpgsql volatile
as $$
-- One webhook's receipts: inserted, then joined where the message is known. May be repeated. Answers how many changed.
begin
    insert into pending_receipts (whatsapp_id, endpoint, receipt)
    select distinct id, p_endpoint, p_receipt from unnest(p_whatsapp_ids) id order by id
    on conflict do nothing;
    return join_receipts(p_shard, p_whatsapp_ids);
end
$$;

create function settle_and_join(
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

alter table optouts
    add column phone text,
    add column said_at timestamptz,
    add constraint optouts_source check (source in ('api', 'message'));
comment on column optouts.phone is 'The number as it was given; the key is for comparing.';
comment on column optouts.source is 'Who asked: a caller of the API, or the person by a message. Only the latter ends by a message.';
comment on column optouts.said_at is 'When the person wrote so, by the account''s clock.';

create function opt_out(p_phone_key text, p_phone text, p_scope text) returns optouts language plpgsql volatile
as $$
-- Under the gate's lock, so nothing that it forbids begins once this has returned. Waiting messages end as 'suppressed' when
-- their turn comes. Answers the row.
declare
    v_row optouts%rowtype;
begin
    perform pg_advisory_xact_lock(gate_key());
    insert into optouts as o (phone_key, phone, scope, source) values (p_phone_key, p_phone, p_scope, 'api')
    on conflict (phone_key) do update set phone = excluded.phone, scope = excluded.scope, source = 'api', said_at = null
    returning o.* into v_row;
    return v_row;
end
$$;

create function opt_out_by_message(p_phone_key text, p_phone text, p_said_at timestamptz) returns boolean language plpgsql volatile
as $$
-- As opt_out, from campaigns alone; an opt-out that is there stays as it is. Answers whether it is new.
declare
    v_new boolean;
begin
    perform pg_advisory_xact_lock(gate_key());
    insert into optouts as o (phone_key, phone, scope, source, said_at)
    values (p_phone_key, p_phone, 'bulk', 'message', p_said_at)
    -- Said again later: an older word to come back, delivered late, must not undo it.
    on conflict (phone_key) do update set said_at = greatest(o.said_at, excluded.said_at) where o.source = 'message'
    returning xmax = 0 into v_new;
    return coalesce(v_new, false);
end
$$;
