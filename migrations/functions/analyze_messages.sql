-- Of the owner, as ensure_partitions is.
create or replace function analyze_messages() returns void language plpgsql volatile
security definer set search_path from current
as $$
-- Gathers statistics about all messages; within the caller's statement_timeout.
begin
    analyze messages;
end
$$;
revoke execute on function analyze_messages from public;
