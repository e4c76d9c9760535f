create or replace function wake_held(p_after_key text, p_after uuid, p_limit integer)
returns table (held_for text, message uuid) language plpgsql volatile
as $$
#variable_conflict use_column
-- Has the next p_limit messages looked at now that wait for an account that may write to their recipients; answers the last of
-- them, from where to go on; no row: that was all. What waits again meanwhile is not met twice.
begin
    return query with woken as (
        select d.held_for, d.message from due d
        where d.held_for is not null and (d.held_for, d.message) > (p_after_key, p_after)
        order by d.held_for, d.message limit p_limit for no key update
    ), changed as (
        update due d set due_at = clock_timestamp(), enqueued_at = null, held_for = null
        from woken w where d.message = w.message and d.why <> 'check'
    )
    select w.held_for, w.message from woken w order by w.held_for desc, w.message desc limit 1;
end
$$;
