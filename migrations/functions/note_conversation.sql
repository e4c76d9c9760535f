-- needs: contact_key

create or replace function note_conversation(p_key text, p_endpoint text, p_heard_at timestamptz) returns void language plpgsql volatile
as $$
-- Somebody wrote to an account: they are bound to it, it may write to them, and what waited for that is looked at now. In
-- any order, doubled or late, the newest heard_at wins; within a minute only what changes the order is written.
declare
    v_unlocked boolean;
begin
    perform pg_advisory_xact_lock(contact_key(), hashtext(p_key));
    delete from cold_locks l where l.phone_key = p_key and l.endpoint = p_endpoint;
    v_unlocked := found;
    insert into conversations as c (phone_key, endpoint, heard_at, noted_at)
    values (p_key, p_endpoint, least(coalesce(p_heard_at, clock_timestamp()), clock_timestamp()), clock_timestamp())
    on conflict (phone_key, endpoint) do update set
        heard_at = greatest(c.heard_at, excluded.heard_at), noted_at = excluded.noted_at
    where v_unlocked or c.noted_at < excluded.noted_at - interval '1 minute' or exists (
        select from conversations o
        where o.phone_key = p_key and o.endpoint <> p_endpoint and o.heard_at between c.heard_at and excluded.heard_at);
    update due d set due_at = clock_timestamp(), enqueued_at = null, held_for = null
    from (select x.message from due x where x.held_for = p_key order by x.message for no key update) w
    where d.message = w.message and d.why <> 'check';
end
$$;
