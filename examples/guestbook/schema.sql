CREATE TABLE entries (
    id      bigserial PRIMARY KEY,
    name    text NOT NULL,
    message text NOT NULL,
    written timestamptz NOT NULL DEFAULT now()
);
