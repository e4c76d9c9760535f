create or replace function add_campaign_counts(p_campaign uuid, p_shard integer, p_deltas jsonb) returns void language sql volatile
as $$
    insert into campaign_counts as c
        (campaign, shard, sent, failed, unknown, canceled, expired, suppressed, possible_duplicates)
    select p_campaign, p_shard, d.sent, d.failed, d.unknown, d.canceled, d.expired, d.suppressed, d.possible_duplicates
    from (
        select
            coalesce((p_deltas ->> 'sent')::integer, 0) as sent,
            coalesce((p_deltas ->> 'failed')::integer, 0) as failed,
            coalesce((p_deltas ->> 'unknown')::integer, 0) as unknown,
            coalesce((p_deltas ->> 'canceled')::integer, 0) as canceled,
            coalesce((p_deltas ->> 'expired')::integer, 0) as expired,
            coalesce((p_deltas ->> 'suppressed')::integer, 0) as suppressed,
            coalesce((p_deltas ->> 'possible_duplicates')::integer, 0) as possible_duplicates
    ) d
    on conflict (campaign, shard) do update set
        sent = c.sent + excluded.sent, failed = c.failed + excluded.failed, unknown = c.unknown + excluded.unknown,
        canceled = c.canceled + excluded.canceled, expired = c.expired + excluded.expired,
        suppressed = c.suppressed + excluded.suppressed,
        possible_duplicates = c.possible_duplicates + excluded.possible_duplicates
$$;
