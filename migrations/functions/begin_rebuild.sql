-- needs: gate_key

create or replace function begin_rebuild(p_lease_seconds integer default 30) returns bigint language plpgsql volatile
as $$
-- Raises the epoch, which voids every assignment made so far, and marks all waiting work as not enqueued. Answers the
-- new epoch; null: another scheduler began a rebuild less than p_lease_seconds ago and has not finished it.
declare
    v_epoch bigint;
begin
    perform pg_advisory_xact_lock(gate_key());
    update control set epoch = epoch + 1, rebuild_started_at = clock_timestamp()
    where rebuild_started_at is null or rebuild_started_at < clock_timestamp() - make_interval(secs => p_lease_seconds)
    returning epoch into v_epoch;
    if v_epoch is not null then
        update due set enqueued_at = null where enqueued_at is not null;
        update chunks set fed_at = null, feeding_until = null where closed_at is null and (fed_at is not null or feeding_until is not null);
    end if;
    return v_epoch;
end
$$;
