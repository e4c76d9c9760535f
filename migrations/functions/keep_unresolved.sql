-- needs: lid_key

create or replace function keep_unresolved(p_lid text, p_wish text, p_said_at timestamptz, p_endpoint text)
returns table (phone_key text, phone text) language plpgsql volatile
as $$
#variable_conflict use_column
-- Keeps the newest word of a hidden id until its number is known. Answers the number, and keeps nothing, where it became known
-- meanwhile.
begin
    perform pg_advisory_xact_lock(lid_key(), hashtext(p_lid));
    return query select h.phone_key, h.phone from hidden_numbers h where h.lid = p_lid;
    if not found then
        insert into unresolved_optouts as u (lid, wish, said_at, endpoint) values (p_lid, p_wish, p_said_at, p_endpoint)
        on conflict (lid) do update set wish = excluded.wish, said_at = excluded.said_at, endpoint = excluded.endpoint
        where u.said_at <= excluded.said_at;
    end if;
end
$$;
