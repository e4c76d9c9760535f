-- needs: gate_key

-- Functions that move a campaign lock its row first and read after; those that forbid attempts take the gate's lock before.
create or replace function pause_campaign(p_token uuid) returns text language plpgsql volatile
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
