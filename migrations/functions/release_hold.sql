-- needs: held_key

create or replace function release_hold(p_endpoint text) returns boolean language plpgsql volatile
as $$
-- Lets an account write to new contacts again, those included that it was refused. Answers whether it was held.
-- In the order of note_cold_contact: locks, then the account.
declare
    v_held boolean;
begin
    perform pg_advisory_xact_lock(held_key());
    delete from cold_locks l where l.endpoint = p_endpoint;
    v_held := found
        or exists (select from endpoints e where e.id = p_endpoint and e.cold_held_until > clock_timestamp());
    insert into endpoints as e (id, hold_released_at) values (p_endpoint, clock_timestamp())
    on conflict (id) do update set cold_held_until = null, hold_released_at = excluded.hold_released_at;
    return v_held;
end
$$;
