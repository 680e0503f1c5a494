-- Real telephone exchanges: Asterisk nodes, how carriers' peers are reached by SIP, and legs of every kind.

-- ---------------------------------------------------------------- nodes

-- The platform's own: every account's trunks may use them. A node's channels are a cap like any other.
ALTER TABLE limits DROP CONSTRAINT limits_kind_check;
ALTER TABLE limits ADD CONSTRAINT limits_kind_check
    CHECK (kind IN ('trunk', 'hotline', 'campaign', 'account', 'node'));

CREATE TABLE asterisk_nodes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    url          text NOT NULL,                                  -- of its HTTP server, without a path
    username     text NOT NULL,
    password     bytea NOT NULL,                                 -- sealed
    sounds_path  text NOT NULL,                                  -- where the node finds our sounds folder
    enabled      boolean NOT NULL DEFAULT true,                  -- false: no new calls; those that are up go on
    limit_id     bigint NOT NULL REFERENCES limits,
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------- trunks

CREATE SEQUENCE trunk_revisions;

ALTER TABLE trunks
    ADD COLUMN sip          jsonb,                               -- host, port, codecs, …; NULL: no SIP engine serves it
    ADD COLUMN sip_password bytea,                               -- sealed
    ADD COLUMN node_ids     bigint[],                            -- the nodes that its carrier knows; NULL: all
    ADD COLUMN revision     bigint NOT NULL DEFAULT nextval('trunk_revisions');  -- grows with every change
CREATE INDEX trunks_revision ON trunks (revision);

-- ---------------------------------------------------------------- legs

-- A leg of a campaign's call names attempt, call and campaign; one that came in, or that a transfer rings, does
-- not. `channel` is what the engine calls a call that came in.
ALTER TABLE legs
    ALTER COLUMN attempt_id DROP NOT NULL,
    ALTER COLUMN call_id DROP NOT NULL,
    ALTER COLUMN campaign_id DROP NOT NULL,
    ADD COLUMN channel       text,
    ADD COLUMN parent_leg_id bigint,                             -- of a transfer: the leg that is transferred
    ADD COLUMN transfer_id   integer;                            -- of a transfer: the command that rings it; of others: their last
-- The phones that a leg's transfers ring: they end with it.
CREATE INDEX legs_transfers ON legs (parent_leg_id) WHERE parent_leg_id IS NOT NULL AND state <> 'ended';
