-- What an operator or a caller may do to work that waits. Whatever forbids attempts takes the gate's lock exclusively,
-- so it holds from the moment the function returns. Functions that move a campaign lock its row first and read after.

create function open_chunks_again(p_campaign uuid) returns void language sql volatile
as $$
    -- Entries of waiting rows may have been refused and dropped meanwhile, so every open chunk is fed again;
    -- what was enqueued twice meets the fence.
    update chunks set fed_at = null, feeding_until = null where campaign = p_campaign and closed_at is null
$$;

create function pause_campaign(p_token uuid) returns text language plpgsql volatile
as $$
-- Answers the campaign's status afterwards; null: there is none of that token.
declare
    v_status text;
begin
    perform pg_advisory_xact_lock(gate_key());
    select c.status into v_status from campaigns c where c.token = p_token for no key update;
    if v_status in ('running', 'scheduled') then
        update campaigns set status = 'paused' where token = p_token;
        return 'paused';
    end if;
    return v_status;
end
$$;

create function resume_campaign(p_token uuid) returns text language plpgsql volatile
as $$
-- Answers the status afterwards: one whose time has not come yet is scheduled again.
declare
    v_status text;
    v_send_at timestamptz;
begin
    select c.status, c.send_at into v_status, v_send_at from campaigns c where c.token = p_token for no key update;
    if v_status = 'paused' and v_send_at > clock_timestamp() then
        update campaigns set status = 'scheduled' where token = p_token;
        return 'scheduled';
    elsif v_status = 'paused' then
        update campaigns set status = 'running' where token = p_token;
        perform open_chunks_again(p_token);
        -- Retries that came due meanwhile were refused too.
        update due set enqueued_at = null where campaign = p_token and why = 'retry';
        return 'running';
    end if;
    return v_status;
end
$$;

create function cancel_campaign(p_token uuid) returns text language plpgsql volatile
as $$
-- Flips the campaign; the scheduler ends its waiting rows chunk by chunk.
declare
    v_status text;
begin
    perform pg_advisory_xact_lock(gate_key());
    select c.status into v_status from campaigns c where c.token = p_token for no key update;
    if v_status in ('running', 'scheduled', 'paused') then
        update campaigns set status = 'canceled' where token = p_token;
        return 'canceled';
    end if;
    return v_status;
end
$$;

create function retry_campaign(p_token uuid, p_reason text default null, p_chunks integer[] default null,
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
        update messages m set previous_status = m.status, status = 'queued', tries_used = 0, crashes = 0, reason = null,
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
        perform add_campaign_counts(p_token, p_shard, jsonb_build_object('failed', -v_count));
        update campaigns set finished_at = null, expires_at = greatest(expires_at, clock_timestamp() + interval '7 days'),
            status = case status when 'finished' then 'running' else status end
        where token = p_token;
    end if;
    return v_count;
end
$$;

create function finish_campaign(p_token uuid) returns boolean language plpgsql volatile
as $$
-- Closes a campaign all of whose messages are in a terminal status; answers whether it did.
declare
    v_campaign campaigns%rowtype;
begin
    select * into v_campaign from campaigns c where c.token = p_token for no key update;
    if v_campaign.token is null or v_campaign.finished_at is not null or v_campaign.total > (
        select coalesce(sum(n.sent + n.failed + n.unknown + n.canceled + n.expired + n.suppressed), 0)
        from campaign_counts n where n.campaign = p_token) then
        return false;
    end if;
    update chunks set closed_at = clock_timestamp() where campaign = p_token and closed_at is null;
    update campaigns set finished_at = clock_timestamp(),
        status = case status when 'canceled' then 'canceled' else 'finished' end
    where token = p_token;
    return true;
end
$$;

create function set_stopped_lanes(p_lanes text[], p_reason text) returns void language plpgsql volatile
as $$
declare
    v_before text[];
begin
    perform pg_advisory_xact_lock(gate_key());
    select k.stopped_lanes into v_before from control k;
    update control set stopped_lanes = p_lanes, stop_reason = p_reason;
    if not v_before <@ p_lanes then
        -- What peek refused while a lane was stopped has lost its entry.
        update due set enqueued_at = null where why <> 'check';
        update chunks set fed_at = null, feeding_until = null where closed_at is null and fed_at is not null;
    end if;
end
$$;

create function suspend_endpoint(p_endpoint text, p_reason text) returns void language plpgsql volatile
as $$
begin
    perform pg_advisory_xact_lock(gate_key());
    insert into endpoints as e (id, suspended_at, suspend_reason) values (p_endpoint, clock_timestamp(), p_reason)
    on conflict (id) do update set suspended_at = coalesce(e.suspended_at, excluded.suspended_at), suspend_reason = p_reason;
end
$$;

create function begin_rebuild(p_lease_seconds integer default 30) returns bigint language plpgsql volatile
as $$
-- Raises the epoch, which voids every assignment made so far, and marks all waiting work as not enqueued. Answers the
-- new epoch; null: another scheduler began a rebuild less than p_lease_seconds ago and has not finished it.
declare
    v_epoch bigint;
begin
    perform pg_advisory_xact_lock(gate_key());
    update control set epoch = epoch + 1, rebuild_started_at = clock_timestamp()
    where rebuild_started_at is null or rebuild_started_at < clock_timestamp() - make_interval(secs => p_lease_seconds)
    returning epoch into v_epoch;
    if v_epoch is not null then
        update due set enqueued_at = null where enqueued_at is not null;
        update chunks set fed_at = null, feeding_until = null where closed_at is null and (fed_at is not null or feeding_until is not null);
    end if;
    return v_epoch;
end
$$;

create function end_rebuild(p_epoch bigint) returns void language sql volatile
as $$
    -- What was enqueued while Redis was being built may have gone into what was deleted.
    update due d set enqueued_at = null from control k
    where k.epoch = p_epoch and d.enqueued_at >= k.rebuild_started_at;
    update control set rebuild_started_at = null where epoch = p_epoch
$$;
