-- Zalo: the apps and Official Accounts of customers, journeys and messages, and what they cost.
-- Order of locks (decision 0005): oas → quotas → templates → journeys → messages → wallets → ledger → webhook events.

-- ---------------------------------------------------------------- apps and Official Accounts

-- A Zalo app of a customer's. Secrets are sealed.
CREATE TABLE zalo_apps (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      bigint NOT NULL REFERENCES accounts,
    app_id          bigint NOT NULL CHECK (app_id > 0),          -- at Zalo
    secret          bytea NOT NULL,
    webhook_secret  bytea,                                       -- "OA Secret Key", signs Zalo's events; NULL: none are taken
    hook            text NOT NULL UNIQUE,                        -- in the address that Zalo's events go to
    use_proof       boolean NOT NULL DEFAULT false,              -- appsecret_proof
    pkce            text NOT NULL DEFAULT 'per_request' CHECK (pkce IN ('per_request', 'fixed', 'none')),
    verifier        bytea,                                       -- the one of pkce = fixed
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, app_id),
    CHECK ((pkce = 'fixed') = (verifier IS NOT NULL))
);

-- A journey to Zalo's permission page. Its state works once: open → exchanging → exchanged (Zalo gave tokens, nobody
-- has looked whose yet) → done. What failed for certain before anything was sent goes back to open.
CREATE TABLE zalo_permissions (
    state         bigint PRIMARY KEY CHECK (state BETWEEN 1 AND 9007199254740991),   -- random; a browser's number
    account_id    bigint NOT NULL REFERENCES accounts,
    user_id       bigint NOT NULL REFERENCES users,
    app_ref       bigint NOT NULL REFERENCES zalo_apps,
    oa_id         bigint,                                        -- whose consent is renewed; NULL: any
    secret        bytea,                                         -- sealed; of the app, not proven yet. NULL: the app's own
    redirect_uri  text NOT NULL,
    verifier      bytea,                                         -- sealed
    step          text NOT NULL DEFAULT 'open' CHECK (step IN ('open', 'exchanging', 'exchanged', 'done', 'failed')),
    code_hash     bytea,                                         -- of the code that was exchanged
    access_token  bytea,                                         -- sealed, while step = exchanged
    refresh_token bytea,
    access_expires_at timestamptz,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz
);
CREATE INDEX zalo_permissions_expiring ON zalo_permissions (expires_at);
-- How many of an account wait for somebody, and which are of no use any more.
CREATE INDEX zalo_permissions_of_account ON zalo_permissions (account_id, expires_at);

-- An Official Account that granted us access. One account has it at a time.
CREATE TABLE zalo_oas (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,    -- connection_id
    account_id         bigint NOT NULL REFERENCES accounts,
    app_ref            bigint NOT NULL REFERENCES zalo_apps,
    oa_id              bigint NOT NULL CHECK (oa_id > 0),
    owner_id           bigint NOT NULL REFERENCES users,         -- who connected it
    state              text NOT NULL CHECK (state IN ('connected', 'needs_consent', 'disconnected')),
    reason             text,                                     -- why it is not connected
    reason_at          timestamptz,
    -- Tokens, sealed. `tokens_version` counts every new pair: whoever writes one names the version that it replaces.
    access_token       bytea,
    refresh_token      bytea,
    tokens_version     integer NOT NULL DEFAULT 1,
    access_expires_at  timestamptz,
    expires_at         timestamptz,                              -- of the refresh token
    refreshed_at       timestamptz,
    -- A refresh under way: written before Zalo is asked, taken away with its outcome. One that stays is of an
    -- unknown outcome, and is looked into before anything else is sent (decision 0011).
    refresh_due_at     timestamptz,
    refresh_begun_at   timestamptz,
    refresh_probe_at   timestamptz,                              -- when one that stays is looked into (again)
    refresh_last_try   boolean NOT NULL DEFAULT false,           -- once more of an unknown outcome, and the pair is given up
    refresh_failures   integer NOT NULL DEFAULT 0,               -- in a row
    refresh_error      text,
    -- What Zalo says of it.
    name               text NOT NULL DEFAULT '',
    description        text NOT NULL DEFAULT '',
    avatar             text NOT NULL DEFAULT '',
    cover              text NOT NULL DEFAULT '',
    is_verified        boolean NOT NULL DEFAULT false,
    oa_type            integer,
    category           text NOT NULL DEFAULT '',
    followers          integer NOT NULL DEFAULT 0,
    package_name       text NOT NULL DEFAULT '',
    package_valid_through text NOT NULL DEFAULT '',
    linked_zca         text NOT NULL DEFAULT '',
    current_quality    text NOT NULL DEFAULT 'UNDEFINED',
    last_week_quality  text NOT NULL DEFAULT 'UNDEFINED',
    facts_at           timestamptz,                              -- when Zalo was last asked for all of it
    facts_due_at       timestamptz NOT NULL DEFAULT now(),
    facts_failures     integer NOT NULL DEFAULT 0,               -- in a row
    facts_error        text,
    redirect_uri       text NOT NULL DEFAULT '',                 -- where Zalo's permission page led back to
    webhook_url        text NOT NULL DEFAULT '',                 -- where its events are passed on to
    relay_endpoint_id  bigint,                                   -- the webhook endpoint that does so
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'connected') <= (access_token IS NOT NULL AND refresh_token IS NOT NULL)),
    CHECK ((state = 'connected') <= ((refresh_begun_at IS NULL) = (refresh_probe_at IS NULL)))
) WITH (fillfactor = 70);
-- One account at a time has an Official Account; the same one has one connection of it, whatever became of it.
CREATE UNIQUE INDEX zalo_oas_held ON zalo_oas (oa_id) WHERE state <> 'disconnected';
CREATE UNIQUE INDEX zalo_oas_account ON zalo_oas (account_id, oa_id);
-- Listing, in the order of their ids.
CREATE INDEX zalo_oas_listed ON zalo_oas (account_id, id);
-- What is to be refreshed, or was begun and not ended.
CREATE INDEX zalo_oas_refresh ON zalo_oas (coalesce(refresh_probe_at, refresh_due_at)) WHERE state = 'connected';
CREATE INDEX zalo_oas_facts ON zalo_oas (facts_due_at) WHERE state = 'connected';

-- What an Official Account may still send today, less what is under way; NULL: Zalo did not say, so nothing is
-- counted. Apart from the connection, because every message writes it.
CREATE TABLE zalo_quotas (
    oa_ref               bigint PRIMARY KEY REFERENCES zalo_oas,
    account_id           bigint NOT NULL,
    day                  date NOT NULL,                          -- in Vietnam; another day begins with `daily` again
    daily                integer,
    remaining            integer CHECK (remaining >= 0),
    in_flight            integer NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    settled              bigint NOT NULL DEFAULT 0,              -- places that were in flight, and are not any more
    daily_promotion      integer,
    remaining_promotion  integer CHECK (remaining_promotion >= 0),
    monthly_promotion    integer,
    remaining_monthly_promotion integer CHECK (remaining_monthly_promotion >= 0),
    estimated_next_month_promotion integer,
    told_at              timestamptz
) WITH (fillfactor = 50);

-- ---------------------------------------------------------------- templates

CREATE TABLE zalo_templates (
    oa_ref          bigint NOT NULL REFERENCES zalo_oas,
    template_id     bigint NOT NULL,
    id              bigint GENERATED ALWAYS AS IDENTITY,         -- for paging
    account_id      bigint NOT NULL,
    name            text NOT NULL,
    status          text NOT NULL,
    quality         text NOT NULL DEFAULT 'UNDEFINED',
    tag             text NOT NULL DEFAULT '',
    params          jsonb NOT NULL DEFAULT '[]',
    timeout_ms      bigint,
    preview_url     text NOT NULL DEFAULT '',
    price           numeric(18, 2) CHECK (price >= 0),           -- without VAT; NULL: Zalo did not say
    reason          text NOT NULL DEFAULT '',
    apply_quota     boolean,
    daily_quota     integer,
    remaining_quota integer CHECK (remaining_quota >= 0),        -- less what is under way
    quota_day       date,                                        -- in Vietnam
    in_flight       integer NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    settled         bigint NOT NULL DEFAULT 0,                   -- as of an OA's quota
    one_time        boolean NOT NULL DEFAULT false,              -- it carries one-time codes
    listed_at       timestamptz NOT NULL,                        -- when the list of Zalo's last had it
    detailed_at     timestamptz,                                 -- when its details were last read; NULL: never
    created_at      timestamptz NOT NULL,                        -- at Zalo, where it says
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (oa_ref, template_id)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX zalo_templates_listed ON zalo_templates (account_id, id);

-- When an Official Account's list of templates was last read whole.
CREATE TABLE zalo_template_lists (
    oa_ref      bigint PRIMARY KEY REFERENCES zalo_oas,
    account_id  bigint NOT NULL,
    listed_at   timestamptz NOT NULL
);

-- ---------------------------------------------------------------- journeys

CREATE TABLE zalo_journeys (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    account_id     bigint NOT NULL,
    oa_ref         bigint NOT NULL,
    oa_id          bigint NOT NULL,
    user_id        bigint NOT NULL,
    phone          text NOT NULL,                                -- 84…
    token_type     text NOT NULL,
    state          text NOT NULL CHECK (state IN ('open', 'enabled', 'refused', 'expired')),
    journey_id     text,                                         -- at Zalo; NULL: refused
    token          bytea,                                        -- sealed
    error_code     integer NOT NULL DEFAULT 0,                   -- Zalo's; 0: none
    error_message  text NOT NULL DEFAULT '',
    charged        boolean NOT NULL DEFAULT false,
    charged_at     timestamptz,
    held           numeric(18, 2) NOT NULL DEFAULT 0 CHECK (held >= 0),   -- of the wallet, until charged or expired
    net            numeric(18, 2) NOT NULL DEFAULT 0,            -- its price when it was made
    vat            numeric(18, 2) NOT NULL DEFAULT 0,
    vat_percent    numeric(5, 2),
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz,
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (account_id, id),                                -- in which an account's are listed
    CHECK ((state = 'refused') = (journey_id IS NULL))
) WITH (fillfactor = 80);
-- The primary key begins with the account, as the ledger's does: by an index of the ids alone, the list of a small
-- account could be looked for among the journeys of all others. The same holds for messages.
-- Listing those of one Official Account, and to one number.
CREATE INDEX zalo_journeys_of_oa ON zalo_journeys (account_id, oa_id, id);
CREATE INDEX zalo_journeys_phone ON zalo_journeys (account_id, phone, id);
-- Zalo's events name it; two accounts never share one.
CREATE INDEX zalo_journeys_zalo_id ON zalo_journeys (account_id, journey_id) WHERE journey_id IS NOT NULL;
-- What the clock ends.
CREATE INDEX zalo_journeys_expiring ON zalo_journeys (expires_at) WHERE state IN ('open', 'enabled');
-- What is held for journeys that are over, until it is let go.
CREATE INDEX zalo_journeys_let_go ON zalo_journeys (expires_at) WHERE state = 'expired' AND held > 0;
-- What the wallet holds: the audit of a wallet.
CREATE INDEX zalo_journeys_held ON zalo_journeys (account_id) INCLUDE (held) WHERE held > 0;

-- A request that named itself by an `Idempotency-Key`, and the journey that it made.
CREATE TABLE zalo_journey_keys (
    account_id   bigint NOT NULL,
    key          text NOT NULL,
    asked        bytea NOT NULL,                                 -- SHA-256 of what was asked for
    journey_ref  bigint,                                         -- NULL: under way since…
    begun_at     timestamptz NOT NULL,
    PRIMARY KEY (account_id, key)
) WITH (fillfactor = 80);
CREATE INDEX zalo_journey_keys_old ON zalo_journey_keys (begun_at);

-- ---------------------------------------------------------------- messages

CREATE TABLE zalo_messages (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    account_id     bigint NOT NULL,
    oa_ref         bigint NOT NULL,
    oa_id          bigint NOT NULL,
    user_id        bigint NOT NULL,
    type           text NOT NULL CHECK (type IN ('template', 'journey')),
    journey_ref    bigint,
    journey_id     text,
    phone          text NOT NULL,                                -- 84…
    template_id    bigint NOT NULL,
    template_data  jsonb NOT NULL,                               -- of a one-time code: nothing
    tracking_id    text NOT NULL,                                -- as Zalo was given it
    tracking_given text NOT NULL DEFAULT '',                     -- as we were given it
    development    boolean NOT NULL DEFAULT false,
    sending_mode   text,
    -- sending → accepted → delivered | undelivered;  sending → refused;  sending → unknown → delivered | undelivered
    state          text NOT NULL CHECK (state IN ('sending', 'accepted', 'unknown', 'refused', 'delivered', 'undelivered')),
    seen           boolean NOT NULL DEFAULT false,
    msg_id         text,                                         -- at Zalo
    error_code     integer NOT NULL DEFAULT 0,
    error_message  text NOT NULL DEFAULT '',
    price          numeric(18, 2),                               -- Zalo's, without VAT
    timeout_ms     bigint,
    counted        boolean NOT NULL DEFAULT false,               -- it holds a place of the quota, under way
    promotion      boolean NOT NULL DEFAULT false,               -- and one of the quota of promotions
    held           numeric(18, 2) NOT NULL DEFAULT 0 CHECK (held >= 0),
    net            numeric(18, 2) NOT NULL DEFAULT 0,
    vat            numeric(18, 2) NOT NULL DEFAULT 0,
    vat_percent    numeric(5, 2),
    charged        boolean NOT NULL DEFAULT false,
    rate           integer,                                      -- stars that the recipient gave
    note           text NOT NULL DEFAULT '',
    feedback       jsonb NOT NULL DEFAULT '[]',
    submitted_at   timestamptz,                                  -- of rate and feedback
    created_at     timestamptz NOT NULL,
    sent_at        timestamptz,                                  -- taken by Zalo
    delivered_at   timestamptz,
    follow_at      timestamptz,                                  -- when to see what became of it; NULL: it is known
    follows        integer NOT NULL DEFAULT 0,                   -- how often Zalo was asked, and answered, what became of it
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (account_id, id)                                 -- in which an account's are listed
) WITH (fillfactor = 80);
CREATE INDEX zalo_messages_of_oa ON zalo_messages (account_id, oa_id, id);
CREATE INDEX zalo_messages_phone ON zalo_messages (account_id, phone, id);
CREATE INDEX zalo_messages_journey_id ON zalo_messages (account_id, journey_id, id) WHERE journey_id IS NOT NULL;
-- Customers may give all their messages one.
CREATE INDEX zalo_messages_tracking ON zalo_messages (account_id, tracking_id, id);
-- Zalo's events name them by one of these: by the tracking id those of which Zalo's id is not known.
CREATE INDEX zalo_messages_msg_id ON zalo_messages (account_id, msg_id) WHERE msg_id IS NOT NULL;
CREATE INDEX zalo_messages_unnamed ON zalo_messages (account_id, tracking_id)
    WHERE msg_id IS NULL AND state IN ('sending', 'unknown', 'undelivered');
-- What is to be followed.
CREATE INDEX zalo_messages_follow ON zalo_messages (follow_at) WHERE follow_at IS NOT NULL;
CREATE INDEX zalo_messages_held ON zalo_messages (account_id) INCLUDE (held) WHERE held > 0;

-- ---------------------------------------------------------------- Zalo's events

-- What came, so that a repetition changes nothing. Kept for a month.
CREATE TABLE zalo_events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL,
    app_ref      bigint NOT NULL,
    digest       bytea NOT NULL,                                 -- SHA-256 of the body
    name         text NOT NULL,
    oa_id        bigint,
    told_at      timestamptz,                                    -- its own time
    received_at  timestamptz NOT NULL,
    UNIQUE (app_ref, digest)
);
CREATE INDEX zalo_events_old ON zalo_events (received_at);

-- The webhook endpoint behind an Official Account's `webhook_url`: it is told of nothing else. NULL: a customer's own.
ALTER TABLE webhook_endpoints ADD COLUMN oa_ref bigint REFERENCES zalo_oas;
CREATE UNIQUE INDEX webhook_endpoints_oa ON webhook_endpoints (oa_ref)
    WHERE oa_ref IS NOT NULL AND deleted_at IS NULL;

-- ---------------------------------------------------------------- money

-- What journeys cost, and what is added to a message's own price. Of the account's tariff, else of every tariff
-- (tariff_id NULL). Rows never change; the one that began last holds.
CREATE TABLE zalo_prices (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tariff_id   bigint REFERENCES tariffs,
    item        text NOT NULL CHECK (item IN ('journey', 'message_fee')),
    net         numeric(18, 2) NOT NULL CHECK (net >= 0),        -- without VAT
    valid_from  timestamptz NOT NULL,
    source      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX zalo_prices_found ON zalo_prices (item, tariff_id, valid_from);
CREATE TRIGGER zalo_prices_append_only BEFORE UPDATE OR DELETE ON zalo_prices
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
INSERT INTO zalo_prices (item, net, valid_from, source) VALUES
    ('journey', 180, '2000-01-01', 'A reseller''s public price of one journey token, charged at its first message.'),
    ('message_fee', 0, '2000-01-01', 'The template''s own price is passed on as it is.');

ALTER TABLE vat_rates DROP CONSTRAINT vat_rates_line_check;
ALTER TABLE vat_rates ADD CONSTRAINT vat_rates_line_check CHECK (line IN ('postage', 'service', 'zalo'));
INSERT INTO vat_rates (line, percent, valid_from, source) VALUES
    ('zalo', 10, '2000-01-01',
     'Standard rate. Whether Zalo''s messages may take 8 % until 2026-12-31 depends on their classification.');

ALTER TABLE ledger
    ADD COLUMN zalo_journey_id bigint,
    ADD COLUMN zalo_message_id bigint,
    DROP CONSTRAINT ledger_kind_check,
    ADD CONSTRAINT ledger_kind_check CHECK
        (kind IN ('top_up', 'adjustment', 'postage', 'service_charge', 'zalo_journey', 'zalo_message')),
    ADD CONSTRAINT ledger_zalo_journey_check CHECK ((kind = 'zalo_journey') = (zalo_journey_id IS NOT NULL)),
    ADD CONSTRAINT ledger_zalo_message_check CHECK ((kind = 'zalo_message') = (zalo_message_id IS NOT NULL));
