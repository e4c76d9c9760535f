create or replace function end_rebuild(p_epoch bigint) returns void language sql volatile
as $$
    -- What was enqueued while Redis was being built may have gone into what was deleted.
    update due d set enqueued_at = null from control k
    where k.epoch = p_epoch and d.enqueued_at >= k.rebuild_started_at;
    update control set rebuild_started_at = null where epoch = p_epoch
$$;
