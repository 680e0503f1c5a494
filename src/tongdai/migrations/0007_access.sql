-- By which doors an account is entered: the code that a vendor's API calls it by, logins that are renewed, and
-- keys of vendors that their owners may look up again.

-- ---------------------------------------------------------------- the account's code

-- Codes of nine digits that do not tell how many accounts there are: the factor has no divisor in common with
-- 900,000,000, so that as many numbers give as many codes.
CREATE SEQUENCE account_codes;
CREATE FUNCTION new_account_code() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made text;
BEGIN
    LOOP
        made := (100000000 + nextval('account_codes') * 387420487 % 900000000)::text;
        -- An administrator may have given it to a customer who brought it along.
        EXIT WHEN NOT EXISTS (SELECT FROM accounts WHERE code = made);
    END LOOP;
    RETURN made;
END $$;

ALTER TABLE accounts ADD COLUMN code text;                       -- VBot's vbot_id
UPDATE accounts SET code = new_account_code();
ALTER TABLE accounts
    ALTER COLUMN code SET NOT NULL,
    ALTER COLUMN code SET DEFAULT new_account_code(),
    ADD UNIQUE (code);

-- ---------------------------------------------------------------- logins

-- A login with name and password, for as long as it is renewed. Its access tokens name it and end with it.
CREATE TABLE logins (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL REFERENCES accounts,
    user_id     bigint NOT NULL REFERENCES users,
    kind        text NOT NULL,                                   -- which API it belongs to
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,                            -- of the last token that it was given
    revoked_at  timestamptz
) WITH (fillfactor = 80);
CREATE INDEX logins_user ON logins (user_id);
CREATE INDEX logins_expiring ON logins (expires_at);

-- Each works once. That it was used is remembered for as long as it might have been: who comes with a used one
-- has stolen it, or was stolen from, and its login ends. Only its SHA-256 is kept (it is 122 random bits).
CREATE TABLE refresh_tokens (
    token_hash  bytea PRIMARY KEY,
    account_id  bigint NOT NULL REFERENCES accounts,
    login_id    bigint NOT NULL REFERENCES logins ON DELETE CASCADE,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX refresh_tokens_login ON refresh_tokens (login_id);

-- ---------------------------------------------------------------- vendors' keys

-- Keys as a vendor has them: their owner may look them up again, so they are encrypted beside their keyed hash.
CREATE TABLE vendor_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts,
    user_id      bigint NOT NULL REFERENCES users,               -- as whom it acts
    kind         text NOT NULL CHECK (kind IN ('interits')),
    name         text NOT NULL,
    hint         text NOT NULL,                                  -- first characters, to recognise it by
    sealed       bytea NOT NULL,
    lookup_hash  bytea NOT NULL UNIQUE,
    active       boolean NOT NULL DEFAULT true,                  -- expired, once `expires_at` has passed
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX vendor_keys_account ON vendor_keys (account_id, id);

-- ---------------------------------------------------------------- the call history

-- An account's calls by time, newest first, for VBot's call history. `dialled_at` never changes, so this costs
-- an attempt one entry when it begins and none when it ends.
CREATE INDEX attempts_by_account_time ON attempts (account_id, dialled_at, id);
