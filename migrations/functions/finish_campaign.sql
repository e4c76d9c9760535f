create or replace function finish_campaign(p_token uuid) returns boolean language plpgsql volatile
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
