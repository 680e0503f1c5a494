-- What a dial needs to know besides a free channel: the network that a line may call, who pays for it, whom the
-- person agreed with, and which trunks have failed already.

-- ---------------------------------------------------------------- who pays

-- off: calls of this account cost nothing here. prepaid: it needs a plan, and a wallet that covers each call.
ALTER TABLE accounts ADD COLUMN billing text NOT NULL DEFAULT 'off' CHECK (billing IN ('off', 'prepaid'));

-- ---------------------------------------------------------------- lines

ALTER TABLE limits
    ADD COLUMN daily_cap     integer CHECK (daily_cap >= 0),     -- dials per day of Vietnam; NULL: no cap
    ADD COLUMN used_on       date,                               -- the day that `used` counts
    ADD COLUMN used          integer NOT NULL DEFAULT 0,
    ADD COLUMN cool_after    integer CHECK (cool_after > 0),     -- carrier failures in a row; NULL: never cools
    ADD COLUMN cool_seconds  integer NOT NULL DEFAULT 30 CHECK (cool_seconds BETWEEN 1 AND 86400),
    ADD COLUMN failures      integer NOT NULL DEFAULT 0,         -- in a row, of a trunk
    ADD COLUMN cooling_until timestamptz;                        -- nothing is dialled on it before

ALTER TABLE trunks ADD COLUMN networks text[];                   -- routing groups that it carries; NULL: all

ALTER TABLE hotlines
    ADD COLUMN brand_name  text,                                 -- as the carrier registered it
    ADD COLUMN brand_until date,                                 -- last day of that registration
    ADD COLUMN valid_from  timestamptz,
    ADD COLUMN valid_until timestamptz;                          -- the contract for the number ends

-- ---------------------------------------------------------------- campaigns

ALTER TABLE campaigns
    ADD COLUMN advertiser     text NOT NULL DEFAULT '',          -- in whose name; '': the account's own
    ADD COLUMN attestation_id bigint,                            -- how the list's consent was obtained
    ADD COLUMN fields         jsonb NOT NULL DEFAULT '[]';       -- declared fields of a contact

-- Finished calls per outcome and, for those that a rule refused, per rule.
ALTER TABLE outcome_counts ADD COLUMN rule text NOT NULL DEFAULT '';
ALTER TABLE outcome_counts DROP CONSTRAINT outcome_counts_pkey;
ALTER TABLE outcome_counts ADD PRIMARY KEY (campaign_id, outcome, rule);

-- ---------------------------------------------------------------- calls

ALTER TABLE calls
    ADD COLUMN call_after      text,                             -- this contact's earliest time: HH:MM or ISO
    ADD COLUMN call_before     text,                             -- and its latest
    ADD COLUMN person_ref      text,                             -- joins the numbers of one person
    ADD COLUMN events          smallint NOT NULL DEFAULT 0,      -- told so far; the last one's sequence number
    ADD COLUMN open_attempt_id bigint,                           -- queued for another trunk: its attempt goes on
    ADD COLUMN tried_trunk_ids bigint[];                         -- trunks that failed in that attempt

ALTER TABLE attempts
    ADD COLUMN network        text,                              -- routing group that was dialled
    ADD COLUMN end_code       text,                              -- what the script came to
    ADD COLUMN billable_s     integer,
    ADD COLUMN postage        numeric(18, 2),                    -- charged, VAT included
    ADD COLUMN service_charge numeric(18, 2);

ALTER TABLE legs
    ADD COLUMN talk_s   integer,                                 -- seconds of talk that the engine was given
    ADD COLUMN reserved numeric(18, 2) NOT NULL DEFAULT 0,       -- what it holds of the wallet until it ends
    ADD COLUMN price    jsonb,                                   -- what it is charged by; NULL: nothing
    ADD COLUMN more_trunks boolean NOT NULL DEFAULT false,       -- another trunk may carry it if this one fails
    ADD COLUMN person_key text;                                  -- counted for frequency under this key
