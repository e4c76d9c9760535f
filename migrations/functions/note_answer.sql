create or replace function note_answer(p_endpoint text, p_jid text, p_gap double precision) returns double precision
language plpgsql volatile
as $$
-- The sender answered: the account is p_jid (empty: it is logged out; null: the sender does not say). Answers for how many
-- seconds it has now answered without a gap; one of more than p_gap seconds between two answers begins anew, since nobody
-- knows what was in between.
declare
    v_since timestamptz;
begin
    insert into account_answers as a (endpoint, asked_at, answered_at, answering_since)
    values (p_endpoint, clock_timestamp(), clock_timestamp(), clock_timestamp())
    on conflict (endpoint) do update set
        answered_at = clock_timestamp(),
        answering_since = case
            when a.answered_at >= clock_timestamp() - make_interval(secs => p_gap)
                then coalesce(a.answering_since, clock_timestamp())
            else clock_timestamp() end
    returning a.answering_since into v_since;
    if p_jid <> '' and p_jid is distinct from (
        select n.jid from account_numbers n where n.endpoint = p_endpoint order by n.since desc limit 1) then
        insert into account_numbers (endpoint, since, jid) values (p_endpoint, clock_timestamp(), p_jid)
        on conflict do nothing;
    end if;
    return extract(epoch from clock_timestamp() - v_since)::double precision;
end
$$;
