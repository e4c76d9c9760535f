-- needs: join_receipts, prove_by_receipt

create or replace function record_receipts(
    p_shard integer, p_whatsapp_ids text[], p_endpoint text, p_receipt text, p_phone_key text default null,
    p_account text default null
) returns integer language plpgsql volatile
as $$
-- One webhook's receipts: inserted, then joined where the message is known, or taken as the proof of an attempt without an
-- answer. p_phone_key: whose they are, the hidden id where no number is said, or null. p_account: the number of the account that
-- reports, for where p_endpoint is empty since the settings do not tell. May be repeated. Answers how many messages changed.
declare
    v_endpoint text := p_endpoint;
    v_person text := coalesce((select h.phone_key from hidden_numbers h where h.lid = p_phone_key), p_phone_key);
    v_changed integer;
begin
    if v_endpoint = '' and p_account is not null then
        select coalesce(min(n.endpoint), '') into v_endpoint from account_numbers n where n.jid = p_account
        having count(distinct n.endpoint) = 1;
    end if;
    v_endpoint := coalesce(v_endpoint, '');
    insert into pending_receipts as r (whatsapp_id, endpoint, receipt, phone_key)
    select distinct id, v_endpoint, p_receipt, v_person from unnest(p_whatsapp_ids) id order by id
    on conflict (whatsapp_id, endpoint, receipt) do update set phone_key = excluded.phone_key
    where r.phone_key is null and excluded.phone_key is not null;
    v_changed := join_receipts(p_shard, p_whatsapp_ids);
    if v_person is not null and prove_by_receipt(p_shard, v_endpoint, v_person) = 'proven' then
        v_changed := v_changed + 1;
    end if;
    return v_changed;
end
$$;
