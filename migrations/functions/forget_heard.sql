create or replace function forget_heard(p_keep double precision, p_keep_numbers double precision, p_limit integer)
returns integer language plpgsql volatile
as $$
-- Forgets messages and conversations not heard of for p_keep seconds, numbers and unresolved words for p_keep_numbers: up to
-- p_limit of each. Answers the most that it was of one; p_limit: there may be more. statement_timestamp, since with
-- clock_timestamp, which is volatile, each index would be read to its end.
declare
    v_gone integer;
begin
    with ids as (
        delete from inbound_ids where ctid = any (array(
            select x.ctid from inbound_ids x where x.noted_at < statement_timestamp() - make_interval(secs => p_keep)
            order by x.noted_at limit p_limit for update skip locked)) returning 1
    ), talks as (
        delete from conversations where ctid = any (array(
            select x.ctid from conversations x where x.noted_at < statement_timestamp() - make_interval(secs => p_keep)
            order by x.noted_at limit p_limit for update skip locked)) returning 1
    ), numbers as (
        delete from hidden_numbers where ctid = any (array(
            select x.ctid from hidden_numbers x where x.seen_at < statement_timestamp() - make_interval(secs => p_keep_numbers)
            order by x.seen_at limit p_limit for update skip locked)) returning 1
    ), words as (
        delete from unresolved_optouts u where u.noted_at < statement_timestamp() - make_interval(secs => p_keep_numbers) returning 1
    )
    select greatest((select count(*) from ids), (select count(*) from talks), (select count(*) from numbers)) into v_gone;
    return v_gone;
end
$$;
