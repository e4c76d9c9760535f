-- What was answered to requests with an Idempotency-Key; the messages whose outcome somebody has to decide; sends for later.
--
-- A key is written by the statement or transaction that writes the work itself. So there is no claim that a crash could
-- leave behind: either both are there, or neither, and the next request with the key begins anew.

create table idempotency_keys (
    caller text not null,
    key text not null,
    request bytea not null,
    status smallint not null,
    body bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (caller, key)
);
comment on column idempotency_keys.caller is 'Whose key it is: the same word of two callers is two keys.';
comment on column idempotency_keys.request is 'SHA-256 of what was asked for, however it was written.';
comment on column idempotency_keys.body is 'The body of the answer, byte for byte.';
create index idempotency_keys_by_age on idempotency_keys (created_at);

create table unknown_messages (
    message uuid primary key,
    campaign uuid,
    since timestamptz not null
);
comment on table unknown_messages is
    'Exactly the messages whose status is unknown, since no index may name it. A trigger keeps it, so that no statement that '
    'changes a status can forget to.';
create index unknown_messages_by_campaign on unknown_messages (campaign, message) where campaign is not null;

create function note_unknown() returns trigger language plpgsql
as $$
begin
    if new.status = 'unknown' then
        insert into unknown_messages (message, campaign, since) values (new.id, new.campaign, new.changed_at)
        on conflict do nothing;
    else
        delete from unknown_messages u where u.message = new.id;
    end if;
    return null;
end
$$;

-- The condition is looked at before the function is called: other changes of a status, which are nearly all, cost nothing.
create trigger messages_unknown after update of status on messages for each row
when (old.status is distinct from new.status and (old.status = 'unknown' or new.status = 'unknown'))
execute function note_unknown();

create function forget_unknown(p_limit integer) returns integer language sql volatile
as $$
-- Deletes up to p_limit rows whose message was dropped with its month; answers how many.
with gone as (
    delete from unknown_messages u where u.ctid = any (array(
        select x.ctid from unknown_messages x
        where not exists (select from messages m where m.id = x.message) limit p_limit))
    returning u.message
)
select count(*)::integer from gone
$$;

create function resolve_unknown(
    p_campaign uuid, p_messages uuid[], p_as text, p_reason text default null, p_shard integer default 0
) returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Decides what nobody could find out: p_as is 'sent', 'failed', or 'resend', which queues the message again as a possible
-- duplicate. Of the campaign p_campaign (null: single sends) all, those in p_messages, those with p_reason. Answers how
-- many were unknown until now; -1: resend, but the campaign is cancelled; -2: resend, but media is gone; null: there is no
-- such campaign.
declare
    v_campaign campaigns%rowtype;
    v_status text := case p_as when 'resend' then 'queued' else p_as end;
    v_count integer;
begin
    if p_campaign is not null then
        select * into v_campaign from campaigns c where c.token = p_campaign for no key update;
        if v_campaign.token is null then
            return null;
        elsif p_as = 'resend' and v_campaign.status = 'canceled' then
            return -1;
        end if;
    elsif p_messages is null then
        raise exception 'single sends are resolved by their ids';
    end if;
    if p_as = 'resend' then
        -- Media goes under the lock of its owner: the campaign's, or the message's, in the order that every batch takes.
        perform from messages m where p_campaign is null and m.id = any (p_messages) order by m.id for no key update;
        if v_campaign.media is not null and not exists (select from media f where f.id = v_campaign.media)
            or exists (
                select from messages m
                where m.id = any (p_messages) and m.status = 'unknown' and m.media is not null
                    and not exists (select from media f where f.id = m.media)) then
            return -2;
        end if;
    end if;
    with changed as (
        update messages m set
            previous_status = m.status, status = v_status, changed_at = clock_timestamp(),
            reason = case p_as when 'resend' then null when 'sent' then 'resolved as sent' else 'resolved as failed' end,
            possible_duplicate = m.possible_duplicate or p_as = 'resend',
            tries_used = case p_as when 'resend' then 0 else m.tries_used end,
            crashes = case p_as when 'resend' then 0 else m.crashes end,
            -- A campaign's messages have its expiry.
            expires_at = case
                when p_as = 'resend' and p_campaign is null then greatest(m.expires_at, clock_timestamp() + interval '1 day')
                else m.expires_at end
        from (
            select u.message from unknown_messages u
            where u.campaign is not distinct from p_campaign and (p_messages is null or u.message = any (p_messages))
            order by u.message
        ) u
        where m.id = u.message and m.status = 'unknown' and (p_reason is null or m.reason = p_reason)
        returning m.id, m.lane
    ), waits as (
        insert into due (message, due_at, why, lane)
        select c.id, clock_timestamp(), 'send', c.lane from changed c where p_as = 'resend' and p_campaign is null
        on conflict (message) do update set due_at = excluded.due_at, why = 'send', enqueued_at = null
    ), opened as (
        update chunks k set fed_at = null, feeding_until = null, closed_at = null
        where p_as = 'resend' and k.campaign = p_campaign
            and exists (select from changed c where c.id between k.first_id and k.last_id)
    ), counted as (
        insert into campaign_counts as n (campaign, shard, unknown, sent, failed, possible_duplicates)
        select p_campaign, p_shard, -count(*),
            count(*) filter (where p_as = 'sent'), count(*) filter (where p_as = 'failed'),
            count(*) filter (where p_as = 'resend')
        from changed c where p_campaign is not null having count(*) > 0
        on conflict (campaign, shard) do update set
            unknown = n.unknown + excluded.unknown, sent = n.sent + excluded.sent, failed = n.failed + excluded.failed,
            possible_duplicates = n.possible_duplicates + excluded.possible_duplicates
    )
    select count(*) into v_count from changed;
    if v_count > 0 and p_campaign is not null and p_as = 'resend' then
        update campaigns set finished_at = null, expires_at = greatest(expires_at, clock_timestamp() + interval '7 days'),
            status = case status when 'finished' then 'running' else status end
        where token = p_campaign;
    end if;
    return v_count;
end
$$;

alter table messages add column send_at timestamptz;
comment on column messages.send_at is
    'Null: as soon as possible. It is enqueued by its due row, which is not looked at before.';
alter table campaigns add column send_at timestamptz;
comment on column campaigns.send_at is 'Null: it ran at once. Until then it is scheduled.';

create function start_campaigns(p_limit integer) returns setof uuid language sql volatile
as $$
-- Lets scheduled campaigns run whose time has come; answers them. Of two schedulers one starts each.
update campaigns c set status = 'running'
from (
    select x.token from campaigns x
    where x.finished_at is null and x.status = 'scheduled' and x.send_at <= clock_timestamp()
    order by x.send_at limit p_limit
    for no key update skip locked
) x
where c.token = x.token
returning c.token
$$;
