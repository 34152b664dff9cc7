CREATE TABLE unisafe_meta (version INTEGER);

-- one row for each call that was ever paid for
CREATE TABLE responses (
    id BIGINT,               -- grows with time
    key VARCHAR,             -- digest of identity and request; the newest id of a key answers for it
    identity VARCHAR,        -- provider, endpoint, model, settings
    request VARCHAR,         -- canonical JSON, images by digest
    text VARCHAR,
    images VARCHAR[],        -- digests, see table images
    finish VARCHAR,          -- stop, length, refused, blocked
    reason VARCHAR,          -- the provider's own words
    tokens_in INTEGER,
    tokens_out INTEGER,
    images_made INTEGER,
    cost DOUBLE,             -- US dollars; NULL when no price is known
    latency DOUBLE,          -- seconds
    run VARCHAR,
    created TIMESTAMP        -- UTC
);

CREATE TABLE images (digest VARCHAR, media_type VARCHAR, data BLOB);

-- one row for each item x model x sample of a run
CREATE TABLE rows (
    run VARCHAR,
    item VARCHAR,            -- task/id
    task VARCHAR,
    category VARCHAR,
    subcategory VARCHAR,
    model VARCHAR,
    sample INTEGER,
    outcome VARCHAR,         -- answered, refused, blocked, empty, failed
    error VARCHAR,           -- why it failed
    response BIGINT,         -- responses.id
    contextual TINYINT,      -- 0 unsafe, 1 safe, 2 refusal, NULL not judged
    contextual_status VARCHAR,  -- judged, blocked, unparsed, failed
    contextual_reason VARCHAR,
    contextual_raw VARCHAR,  -- a reply that could not be parsed
    intrinsic TINYINT,       -- 0 unsafe, 1 safe, NULL not judged
    intrinsic_status VARCHAR,
    intrinsic_reason VARCHAR,
    intrinsic_raw VARCHAR,
    judge VARCHAR,
    cached BOOLEAN,          -- no call was made for this row in this run
    created TIMESTAMP
);

CREATE TABLE runs (
    run VARCHAR,
    started TIMESTAMP,
    ended TIMESTAMP,
    status VARCHAR,          -- running, done, interrupted, stopped
    config VARCHAR,          -- JSON; names of key variables, never keys
    dataset VARCHAR,
    dataset_digest VARCHAR,
    rubrics_digest VARCHAR,
    versions VARCHAR,        -- JSON
    summary VARCHAR          -- JSON: calls, cached, cost, seconds
);

-- one row a verdict
CREATE VIEW verdicts AS
    SELECT run, item, task, model, sample, response, judge, 'contextual' AS question, contextual AS label,
           contextual_status AS status, contextual_reason AS reason, contextual_raw AS raw FROM rows
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'intrinsic', intrinsic,
           intrinsic_status, intrinsic_reason, intrinsic_raw FROM rows;
