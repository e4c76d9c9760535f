create or replace function retry_campaign(p_token uuid, p_reason text default null, p_chunks integer[] default null,
    p_shard integer default 0)
returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Puts failed messages back into the queue: all, those with one reason, or those of some chunks. Answers how many;
-- -1: the campaign is cancelled; -2: its media is gone; null: there is no such campaign.
declare
    v_campaign campaigns%rowtype;
    v_count integer;
begin
    select * into v_campaign from campaigns c where c.token = p_token for no key update;
    if v_campaign.token is null then
        return null;
    elsif v_campaign.status = 'canceled' then
        return -1;
    elsif v_campaign.media is not null and not exists (select from media where id = v_campaign.media) then
        return -2;
    end if;
    with changed as (
        update messages m set status = 'queued', tries_used = 0, crashes = 0, reason = null,
            changed_at = clock_timestamp()
        where m.id between v_campaign.first_id and v_campaign.last_id and m.campaign = p_token and m.status = 'failed'
            and (p_reason is null or m.reason = p_reason)
            and (p_chunks is null or exists (
                select from chunks k where k.campaign = p_token and k.number = any (p_chunks)
                    and m.id between k.first_id and k.last_id))
        returning m.id
    ), opened as (
        update chunks k set fed_at = null, feeding_until = null, closed_at = null
        where k.campaign = p_token
            and exists (select from changed c where c.id between k.first_id and k.last_id)
    )
    select count(*) into v_count from changed;
    if v_count > 0 then
        update campaigns set finished_at = null, expires_at = greatest(expires_at, clock_timestamp() + interval '7 days'),
            status = case status when 'finished' then 'running' else status end
        where token = p_token;
    end if;
    return v_count;
end
$$;
