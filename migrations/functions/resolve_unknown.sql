create or replace function resolve_unknown(
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
            status = v_status, changed_at = clock_timestamp(),
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
