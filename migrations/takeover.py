"""Databases whose tables were made by the sixteen migrations of before the baseline: they have what the baseline makes.

They are noted as had in the transaction that applies the functions. Services of before look whether the highest name that is
noted is that of their last file, or higher: names of functions are. This module and ``sql/takeover.sql`` go with the first
release.
"""

from __future__ import annotations

from collections.abc import Mapping

BASELINE = "0011_alerts.sql"
"""The last file of the baseline; those after it change what it made."""
FORMER = {
    "0001_tables.sql": "49f257f8fe16deb5a7f7cac56f85d1d841fc59f81652910d932142ad414ce0bd",
    "0002_partitions.sql": "09ef6622fab4d4f186f94a5741001abcd07f86fd488a49fc58f8138b6eb23c7a",
    "0003_gate.sql": "5e09ee95ba37b5244a476dd23e0a0f9bde293fa807cf074e66c31e8497c45089",
    "0004_settlement.sql": "e8327eb5c3a609e62d46a9f61dbd3efd2e74be901f854cb12af1ff3edfc89bb3",
    "0005_control.sql": "160b0f08cb059cf02f8643f1bc5b63dcf15dd831b1086a08dc7cb02917021722",
    "0007_idempotency_and_unknown.sql": "60efdfdcdf54983e2253d9055217a22f970ce3ffc2b03f3fad58d1f08ec5d643",
    "0008_receipts_and_optouts.sql": "d6c681f2fdb8a2074a0dfcf350437c0edeb1cd4d72e699259f9036c229fba607",
    "0009_account_feedback.sql": "59447e501c3fcccaab59705d4f8be5bdcac779155727d2053cabceda6a97be66",
    "0010_beat_number.sql": "6ca7e220bfbbb9e6325f84c6c41950c8156f9a1fa334e3022bfc168a41f30df8",
    "0011_retention_beside_traffic.sql": "1c95f54190c4e4ee66191aad8f833ee07a236c7a69e602b9f0bbb6b17998c181",
    "0012_cheaper_steps.sql": "d7219bc0000c4a2ccafb49a124d45e202a97b81a625efca89393bd50be6cc763",
    "0013_months_of_the_batch.sql": "761425ad97e2144db7500547c44094a87efafb4b8ff380fc8bda2de10253ce2e",
    "0014_fewer_rights.sql": "1c9087e89818dce0702b9a56346062ea79979f688e468426b4f4b1dea8e9756c",
    "0015_who_is_to_blame.sql": "5c6f4263bb33eea76645d2dab25961de7b3285c8ad1407bee9a4f067f240c213",
    "0016_evidence.sql": "d6d7763c82f8daa772ba1a29d381c5ab6d4708bd129e68445e29cbfbbec04d4e",
    "0017_conversations.sql": "c96a186cdffde1b24e0df0ab04fffbcb4c1ec56569545c99a4463fc9a8bdef42",
}
"""The files of before, with the SHA-256 of each."""


def is_former(applied: Mapping[str, str]) -> bool:
    """Whether all of them were applied, as they were last."""
    return FORMER.items() <= applied.items()
