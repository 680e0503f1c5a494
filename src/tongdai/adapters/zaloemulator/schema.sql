CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Fixtures as JSON, merged at each start.
CREATE TABLE IF NOT EXISTS fixtures (kind TEXT, id TEXT, doc TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
-- Tokens are kept as SHA-256 digests.
CREATE TABLE IF NOT EXISTS codes (digest BLOB PRIMARY KEY, app_id INTEGER, oa_id INTEGER, challenge TEXT,
    issued_ms INTEGER, state TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS access_tokens (digest BLOB PRIMARY KEY, app_id INTEGER, oa_id INTEGER,
    expires_ms INTEGER, state TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS access_live ON access_tokens (app_id, oa_id) WHERE state = 'live';
CREATE TABLE IF NOT EXISTS refresh_tokens (digest BLOB PRIMARY KEY, app_id INTEGER, oa_id INTEGER,
    expires_ms INTEGER, state TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refresh_fresh ON refresh_tokens (app_id, oa_id) WHERE state = 'fresh';
CREATE TABLE IF NOT EXISTS grants (app_id INTEGER, oa_id INTEGER, groups TEXT, granted_ms INTEGER,
    PRIMARY KEY (app_id, oa_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS grants_of_oa ON grants (oa_id);
CREATE TABLE IF NOT EXISTS journeys (journey_id INTEGER PRIMARY KEY, digest BLOB UNIQUE, app_id INTEGER,
    oa_id INTEGER, phone TEXT, token_type TEXT, created_ms INTEGER, expires_ms INTEGER, charged_ms INTEGER,
    told_over INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS journeys_ending ON journeys (expires_ms) WHERE told_over = 0;
CREATE TABLE IF NOT EXISTS messages (msg_id TEXT PRIMARY KEY, app_id INTEGER, oa_id INTEGER, template_id INTEGER,
    recipient TEXT, tracking_id TEXT, journey_id INTEGER, development INTEGER, price REAL, sent_ms INTEGER,
    due_ms INTEGER, delivered_ms INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_due ON messages (due_ms) WHERE delivered_ms IS NULL AND due_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS ratings (msg_id TEXT, app_id INTEGER, oa_id INTEGER, template_id INTEGER, at_ms INTEGER,
    doc TEXT);
CREATE INDEX IF NOT EXISTS ratings_of ON ratings (template_id, at_ms);
-- How much of something was used: quotas by day or month, money for ever (period 0).
CREATE TABLE IF NOT EXISTS used (what TEXT, whose TEXT, period INTEGER, number REAL NOT NULL,
    PRIMARY KEY (what, whose, period)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhooks (id INTEGER PRIMARY KEY, app_id INTEGER, event TEXT, zns INTEGER, body BLOB,
    body_ms INTEGER, due_ms INTEGER, tries INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'due',
    status INTEGER, key TEXT);
CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks (due_ms) WHERE state = 'due';
CREATE TABLE IF NOT EXISTS requests (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER, method TEXT, path TEXT,
    app_id INTEGER, oa_id INTEGER, error INTEGER, fault TEXT, detail TEXT);
CREATE INDEX IF NOT EXISTS requests_by_path ON requests (path, id);
