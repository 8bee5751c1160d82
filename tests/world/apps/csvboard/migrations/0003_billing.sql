-- Stripe may deliver an event more than once: https://docs.stripe.com/webhooks#handle-duplicate-events
CREATE TABLE stripe_events (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    account_id INTEGER REFERENCES accounts (id) ON DELETE CASCADE,
    received_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- One lifecycle mail of a kind a day for an account, however often the script runs.
CREATE TABLE reminders (
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    day TEXT NOT NULL,
    PRIMARY KEY (account_id, kind, day)
);
