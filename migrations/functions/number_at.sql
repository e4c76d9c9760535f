create or replace function number_at(p_endpoint text, p_time timestamptz) returns text language sql stable
as $$
-- The number that the account was paired with then: the last one noticed before, else the first one ever noticed. Null: none.
select n.jid from account_numbers n where n.endpoint = p_endpoint
order by n.since > p_time, case when n.since <= p_time then n.since end desc, n.since limit 1
$$;
