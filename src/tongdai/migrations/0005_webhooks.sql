-- What customers' own servers are told: where to (endpoints), what (events), and how it went (deliveries, tries).

-- ---------------------------------------------------------------- endpoints

-- Who sends now. An endpoint belongs to one sender at a time, and to nobody once that one's time is up: it
-- renews it every few seconds, and stops by its own clock before others may begin.
CREATE TABLE webhook_senders (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host         text NOT NULL,
    pid          integer NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    alive_until  timestamptz NOT NULL
) WITH (fillfactor = 50);

-- How many tries came to what since the beginning, for the metrics.
CREATE TABLE webhook_totals (
    result  text PRIMARY KEY CHECK (result IN ('delivered', 'failed', 'parked')),
    tries   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO webhook_totals (result) VALUES ('delivered'), ('failed'), ('parked');

CREATE TABLE webhook_endpoints (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id         bigint NOT NULL REFERENCES accounts,
    url                text NOT NULL,
    format             text NOT NULL,                            -- whose body it is sent
    events             text[] NOT NULL,
    description        text NOT NULL,
    options            jsonb NOT NULL,                           -- what the format leaves open
    secret             bytea NOT NULL,                           -- sealed
    old_secret         bytea,                                    -- sealed; signs too until…
    old_secret_until   timestamptz,
    auth_header        bytea,                                    -- sealed "Name: value" that every request carries
    enabled            boolean NOT NULL,                         -- false: nothing is kept for it, nothing sent
    max_in_flight      integer NOT NULL CHECK (max_in_flight BETWEEN 1 AND 100),
    version            integer NOT NULL DEFAULT 1,               -- counts what people change, not how it fares
    created_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz,
    -- How it fares, written by its sender.
    failures           integer NOT NULL DEFAULT 0,               -- in a row
    failing_since      timestamptz,
    paused_at          timestamptz,                              -- nothing is sent; what happens is kept for it
    paused_until       timestamptz,                              -- NULL while paused: until somebody resumes it
    pause_reason       text CHECK (pause_reason IN ('customer', 'failures', 'retry_after', 'gone')),
    pauses             integer NOT NULL DEFAULT 0,               -- by failures, in a row
    last_error         text,
    last_error_at      timestamptz,
    last_delivered_at  timestamptz,
    sender_id          bigint,                                   -- whose it is, while that one is alive
    CHECK ((paused_at IS NULL) = (pause_reason IS NULL))
) WITH (fillfactor = 70);
-- Publishing and listing: the endpoints of an account.
CREATE INDEX webhook_endpoints_account ON webhook_endpoints (account_id, id) WHERE deleted_at IS NULL;
-- What a sender holds.
CREATE INDEX webhook_endpoints_sender ON webhook_endpoints (sender_id) WHERE sender_id IS NOT NULL;

-- ---------------------------------------------------------------- events and deliveries

CREATE SEQUENCE webhook_event_ids;

-- What happened, as it was then; every body is made from it. Written by whoever ends the call, in the same
-- transaction, and never changed. No foreign keys from here on: they would be checked for every row.
CREATE TABLE webhook_events (
    id          bigint NOT NULL DEFAULT nextval('webhook_event_ids') PRIMARY KEY,
    account_id  bigint NOT NULL,
    call_id     bigint NOT NULL,
    seq         integer NOT NULL,                                -- within its call, 1, 2, …
    type        text NOT NULL,
    payload     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE TABLE webhook_deliveries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL,
    endpoint_id  bigint NOT NULL,
    event_id     bigint NOT NULL,
    call_id      bigint NOT NULL,
    seq          integer NOT NULL,
    type         text NOT NULL,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'parked')),
    replay_of    bigint,                                         -- the delivery that it repeats
    replayed_at  timestamptz,                                    -- when it was last repeated itself
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries        integer NOT NULL DEFAULT 0,
    done_at      timestamptz,
    status       integer,                                        -- of the last answer, if there was one
    error        text,                                           -- of the last try, if it failed
    body         bytea                                           -- as it was first made; sent again as it is
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- Claiming: what is due at one endpoint, and which endpoints have anything at all.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at, id) WHERE state = 'pending';
-- Order: what of the same call is still to be sent before. Also the deliveries of one call.
CREATE INDEX webhook_deliveries_call ON webhook_deliveries (call_id, endpoint_id, seq);
-- Listing an endpoint's deliveries, and the oldest that wait.
CREATE INDEX webhook_deliveries_listed ON webhook_deliveries (endpoint_id, state, id);

-- What came of each try. Known by its moment, so that a result that is written twice is there once.
CREATE TABLE webhook_tries (
    delivery_id  bigint NOT NULL,
    at           timestamptz NOT NULL,                           -- when it began
    account_id   bigint NOT NULL,
    status       integer,
    error        text,
    ms           integer NOT NULL,
    answer       bytea,                                          -- its first KiB
    PRIMARY KEY (delivery_id, at)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
