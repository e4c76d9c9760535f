create or replace function open_chunks_again(p_campaign uuid) returns void language sql volatile
as $$
    -- Entries of waiting rows may have been refused and dropped meanwhile, so every open chunk is fed again;
    -- what was enqueued twice meets the fence.
    update chunks set fed_at = null, feeding_until = null where campaign = p_campaign and closed_at is null
$$;
