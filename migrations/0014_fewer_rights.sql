-- What only the owner of the tables may do is done by functions that belong to the owner, so that the role of the services needs
-- no more than to read and write rows: months are made and dropped, and the planner is told about many new rows. Who may call
-- them is granted (docs/operations.md); the owner may as before.

create function analyze_messages() returns void language plpgsql volatile
as $$
-- Gathers statistics about all messages; within the caller's statement_timeout.
begin
    analyze messages;
end
$$;

do $$
declare
    v_function text;
begin
    foreach v_function in array
        array['analyze_messages()', 'ensure_partitions(integer)', 'drop_old_partitions(interval)']
    loop
        -- The schema is wherever this was installed; whoever calls must not be able to put tables of the same names before it.
        execute format(
            'alter function %s security definer set search_path = %I, pg_temp', v_function, current_schema());
        execute format('revoke execute on function %s from public', v_function);
    end loop;
end
$$;
