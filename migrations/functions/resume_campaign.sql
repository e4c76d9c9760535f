-- needs: open_chunks_again

create or replace function resume_campaign(p_token uuid) returns text language plpgsql volatile
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
