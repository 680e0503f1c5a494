-- Who changed what that must be answered for, and templates whose fields have a type.

CREATE TABLE audit_log (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL REFERENCES accounts,
    user_id     bigint,                                          -- who; NULL: the platform
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    action      text NOT NULL,                                   -- campaign.changed, template.created, …
    subject_id  bigint NOT NULL,                                 -- of that campaign or template
    before      jsonb,
    after       jsonb
);
CREATE INDEX audit_log_account ON audit_log (account_id, id);
CREATE TRIGGER audit_log_is_evidence BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A template named the fields of its contacts; now it says of each what it is. A bare name was never required.
UPDATE templates
   SET config = jsonb_set(config, '{fields}', (
           SELECT coalesce(jsonb_agg(CASE WHEN jsonb_typeof(field) = 'string'
                                          THEN jsonb_build_object('name', field) ELSE field END
                                     ORDER BY place), '[]')
             FROM jsonb_array_elements(config -> 'fields') WITH ORDINALITY AS f (field, place)))
 WHERE jsonb_typeof(config -> 'fields') = 'array';
