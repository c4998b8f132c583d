-- Who is calling: a context that the host signs for one transaction of one backend, and the one
-- function that believes it.
CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA IF NOT EXISTS stockade AUTHORIZATION stockade_owner;
SET LOCAL ROLE stockade_owner;


CREATE TABLE IF NOT EXISTS stockade.context_keys (
    key_id     text PRIMARY KEY CHECK (key_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    -- The key XORed with HMAC's two pads (RFC 2104), 64 bytes each: with them HMAC-SHA-256 needs
    -- only the core function sha256, so no extension has to be installed.
    inner_pad  bytea NOT NULL CHECK (octet_length(inner_pad) = 64),
    outer_pad  bytea NOT NULL CHECK (octet_length(outer_pad) = 64),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
COMMENT ON TABLE stockade.context_keys IS 'Keys that sign callers'' claims. A key with retired_at set signs nothing any more.';
REVOKE ALL ON stockade.context_keys FROM PUBLIC;

-- The claims of the caller whom this transaction serves, or NULL. Never an error: why a context is
-- not believed is nobody's business who can ask.
--
-- PARALLEL RESTRICTED because pg_backend_pid() of a worker is not the one that was signed. The
-- payload is decoded only after its signature holds, so what is decoded was made by the host.
CREATE OR REPLACE FUNCTION stockade.claims() RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $claims$
DECLARE
    token     text := current_setting('stockade.context', true);
    pad_inner bytea;
    pad_outer bytea;
    payload   text;
    claims    jsonb;
BEGIN
    IF token IS NULL OR octet_length(token) NOT BETWEEN 70 AND 16384
       OR token !~ '^v1\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]+\.[0-9a-f]{64}$' THEN
        RETURN NULL;
    END IF;

    SELECT k.inner_pad, k.outer_pad INTO pad_inner, pad_outer
    FROM stockade.context_keys AS k
    WHERE k.key_id = split_part(token, '.', 2) AND k.retired_at IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    IF encode(sha256(pad_outer || sha256(pad_inner || convert_to(left(token, -65), 'UTF8'))), 'hex') <> right(token, 64) THEN
        RETURN NULL;
    END IF;

    payload := translate(split_part(token, '.', 3), '-_', '+/');
    payload := payload || repeat('=', (4 - length(payload) % 4) % 4);
    claims := convert_from(decode(payload, 'base64'), 'UTF8')::jsonb;

    IF (claims ->> 'pid')::bigint IS DISTINCT FROM pg_backend_pid()
       OR (claims ->> 'began_us')::bigint IS DISTINCT FROM (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint
       OR COALESCE((claims ->> 'expires_us')::bigint <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, true) THEN
        RETURN NULL;
    END IF;
    RETURN claims;
END
$claims$;
COMMENT ON FUNCTION stockade.claims() IS
    'The claims of the caller whom this transaction serves: {"tenant", "principal", "roles", …}, or NULL. Use it as (SELECT stockade.claims()) so that it runs once a statement.';
REVOKE ALL ON FUNCTION stockade.claims() FROM PUBLIC;

RESET ROLE;
