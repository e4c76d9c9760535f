-- What comes back from WhatsApp about messages that were sent.
--
-- Receipts converge whatever their order: each is inserted first and joined to its message when both are there, by whoever
-- comes second. `messages.receipt` only moves forward, and `campaign_counts` follows what really changed, so a receipt
-- that comes twice, or after a later one, changes nothing.

create table pending_receipts (
    whatsapp_id text not null,
    endpoint text not null,
    receipt text not null check (receipt in ('delivered', 'read')),
    received_at timestamptz not null default clock_timestamp(),
    phone_key text,
    primary key (whatsapp_id, endpoint, receipt)
);
comment on table pending_receipts is
    'Receipts whose WhatsApp id is no message''s yet. They may be there before the answer to the send; most that stay are of '
    'messages typed on the phone.';
comment on column pending_receipts.endpoint is 'The account that reported it, empty where the webhook does not say.';
comment on column pending_receipts.phone_key is
    'Whose phone said it, where the webhook tells: with an attempt of unknown outcome to this person it may be the proof.';
create index pending_receipts_by_person on pending_receipts (endpoint, phone_key) where phone_key is not null;

create table receipt_times (
    endpoint text primary key,
    first_at timestamptz not null,
    last_at timestamptz not null
) with (fillfactor = 50);
comment on table receipt_times is
    'Since when an account''s receipts come, and when one came last, to the minute. One without a row has no webhook set up.';
