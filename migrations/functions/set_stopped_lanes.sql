-- needs: gate_key

create or replace function set_stopped_lanes(p_lanes text[], p_reason text) returns void language plpgsql volatile
as $$
declare
    v_before text[];
begin
    perform pg_advisory_xact_lock(gate_key());
    select k.stopped_lanes into v_before from control k;
    update control set stopped_lanes = p_lanes, stop_reason = p_reason;
    if not v_before <@ p_lanes then
        -- What peek refused while a lane was stopped has lost its entry.
        update due set enqueued_at = null where why <> 'check';
        update chunks set fed_at = null, feeding_until = null where closed_at is null and fed_at is not null;
    end if;
end
$$;
