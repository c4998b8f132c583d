-- Who did what. The host's login may add to this table and do nothing else with it: not read, change,
-- delete or truncate. Readers, under whom plugins' statements run, may not even add. The defaults are
-- the database's own: what the login writes cannot say when it was written.
SET LOCAL ROLE stockade_owner;

CREATE TABLE IF NOT EXISTS stockade.audit_log (
    id             uuid PRIMARY KEY,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by    text NOT NULL DEFAULT session_user,
    happened_at    timestamptz NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('call', 'refusals', 'act')),
    tenant         text,
    principal      text,
    caller         text,
    tool           text,
    plugin         text,
    plugin_version text,
    plugin_digest  text,
    decision       text NOT NULL CHECK (decision IN ('allowed', 'refused')),
    outcome        text NOT NULL,
    duration_us    bigint,
    row_count      bigint,
    limit_hit      text,
    arguments_hash text,
    arguments      text,
    occurrences    bigint NOT NULL,
    detail         text
);
CREATE INDEX IF NOT EXISTS audit_log_happened_at ON stockade.audit_log (happened_at);
REVOKE ALL ON stockade.audit_log FROM PUBLIC;

COMMENT ON TABLE stockade.audit_log IS 'Every call, every administrative act. Append-only for the host; its owner keeps or removes what is old.';
COMMENT ON COLUMN stockade.audit_log.id IS 'A call''s request id; for anything else an id of its own. Version 7: sorted by time.';
COMMENT ON COLUMN stockade.audit_log.recorded_at IS 'When the row was written, on the database''s clock.';
COMMENT ON COLUMN stockade.audit_log.recorded_by IS 'The login that wrote it.';
COMMENT ON COLUMN stockade.audit_log.happened_at IS 'When the call began or the act happened, on the host''s clock.';
COMMENT ON COLUMN stockade.audit_log.kind IS 'call: one tool call. refusals: requests refused before they were calls, counted over a minute. act: an operator''s or the host''s own act.';
COMMENT ON COLUMN stockade.audit_log.caller IS 'The caller''s name in the host''s configuration.';
COMMENT ON COLUMN stockade.audit_log.plugin_digest IS 'SHA-256 of the plugin''s file, in hexadecimal.';
COMMENT ON COLUMN stockade.audit_log.decision IS 'allowed: the tool was started. refused: it was not.';
COMMENT ON COLUMN stockade.audit_log.outcome IS 'DONE, CANCELLED, or the code of the refusal or failure; of an act, what it was.';
COMMENT ON COLUMN stockade.audit_log.row_count IS 'Rows that the call took out of the database.';
COMMENT ON COLUMN stockade.audit_log.limit_hit IS 'The limit that ended the call.';
COMMENT ON COLUMN stockade.audit_log.arguments_hash IS 'key id:HMAC-SHA-256 of the arguments as JSON, with a key derived from the host''s: equal arguments are equal here, and say nothing more.';
COMMENT ON COLUMN stockade.audit_log.arguments IS 'The arguments themselves, where the operator has asked for it, cut at 16 KiB.';
COMMENT ON COLUMN stockade.audit_log.occurrences IS 'How many there were of what this row stands for.';

-- What becomes of a signing key is an act, whoever does it and however: the record stands in the same
-- transaction.
CREATE OR REPLACE FUNCTION stockade.record_key_act() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $record$
BEGIN
    INSERT INTO stockade.audit_log (id, happened_at, kind, principal, decision, outcome, occurrences, detail)
    VALUES (gen_random_uuid(), clock_timestamp(), 'act', session_user, 'allowed',
            CASE WHEN TG_OP = 'DELETE' THEN 'KEY_DELETED'
                 WHEN OLD.retired_at IS NULL AND NEW.retired_at IS NOT NULL THEN 'KEY_RETIRED'
                 WHEN OLD.retired_at IS NOT NULL AND NEW.retired_at IS NULL THEN 'KEY_REINSTATED'
                 ELSE 'KEY_CHANGED' END,
            1, 'signing key ' || OLD.key_id);
    RETURN NULL;
END
$record$;
REVOKE ALL ON FUNCTION stockade.record_key_act() FROM PUBLIC;
CREATE OR REPLACE TRIGGER record_key_act AFTER UPDATE OR DELETE ON stockade.context_keys
    FOR EACH ROW EXECUTE FUNCTION stockade.record_key_act();

DO $audit$
DECLARE
    login text := current_setting('stockade.setup_login');
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA stockade TO %I', login);
    EXECUTE format('GRANT INSERT (id, happened_at, kind, tenant, principal, caller, tool, plugin, plugin_version, plugin_digest,
        decision, outcome, duration_us, row_count, limit_hit, arguments_hash, arguments, occurrences, detail)
        ON stockade.audit_log TO %I', login);
END
$audit$;

RESET ROLE;
