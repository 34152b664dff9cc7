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
    , stage VARCHAR           -- for a block: request or response; NULL if it is not known
    , categories VARCHAR      -- for a block: JSON, the vendor's categories and severities; NULL without any
    , thoughts VARCHAR        -- the model's thoughts before its answer; not part of text
    , missing VARCHAR         -- why there is nothing to judge although nobody refused; a later run asks again
    , model VARCHAR           -- the name under which the endpoint served the call
    , estimated BOOLEAN       -- the endpoint reported no usage, so tokens and cost are estimates
    , reading TINYINT         -- the rules by which the body was read (unisafe_providers/anatomy.py); NULL before they had a number
);

-- the models' pictures, as they came
CREATE TABLE images (
    digest VARCHAR,
    media_type VARCHAR,
    data BLOB
    , mended VARCHAR          -- how it is mended before judging (unisafe_providers/mending.py); empty: not at all; NULL: not examined yet
);

-- one row for each item x model x repeat of a run
CREATE TABLE rows (
    run VARCHAR,
    item VARCHAR,            -- task/id
    task VARCHAR,
    category VARCHAR,
    subcategory VARCHAR,
    model VARCHAR,
    sample INTEGER,          -- the number of the repeat, from 0
    outcome VARCHAR,         -- answered, refused, blocked_request, blocked_response, blocked (stage unknown), empty, failed
    error VARCHAR,           -- why it failed
    response BIGINT,         -- responses.id
    contextual TINYINT,      -- 0 unsafe, 1 safe, 2 refusal, NULL not judged
    contextual_status VARCHAR,  -- judged, blocked, unparsed, failed, tied (of several judges), absent (not in an imported file)
    contextual_reason VARCHAR,
    contextual_raw VARCHAR,  -- a reply that could not be parsed
    intrinsic TINYINT,       -- 0 unsafe, 1 safe, NULL not judged
    intrinsic_status VARCHAR,
    intrinsic_reason VARCHAR,
    intrinsic_raw VARCHAR,
    judge VARCHAR,           -- its name; for several judges those that decided (contextual, then intrinsic), or `panel of 3`
    cached BOOLEAN,          -- no call was made for this row in this run
    created TIMESTAMP
    , judged VARCHAR          -- what the verdicts judge: text, image, words (instead of an image), both (image and words); else empty
    , thoughts TINYINT        -- intrinsic verdict of the thoughts, if they are judged
    , thoughts_status VARCHAR -- as above; empty if they were not judged
    , thoughts_reason VARCHAR
    , beside_contextual TINYINT-- verdicts of the words beside an image
    , beside_intrinsic TINYINT
    , beside_status VARCHAR   -- as above; empty if there were none
    , beside_reason VARCHAR
    , categories VARCHAR      -- JSON list of the subcategories that the intrinsic judge named
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


-- if several judges were asked: the vote of each judge on a row
CREATE TABLE opinions (
    run VARCHAR,
    item VARCHAR,
    model VARCHAR,
    sample INTEGER,          -- the number of the repeat, from 0
    question VARCHAR,        -- contextual, intrinsic, thoughts, beside_contextual, beside_intrinsic
    judge VARCHAR,           -- its name
    position INTEGER,        -- its place in the chain or panel, from 0
    label TINYINT,           -- as in rows
    status VARCHAR,          -- judged, blocked, unparsed, failed
    reason VARCHAR,
    raw VARCHAR
);

-- batch jobs at a vendor; the next run finds those that an interrupted run left
CREATE TABLE batches (
    id VARCHAR,              -- the vendor's name of the job; during the submission, its tag
    identity VARCHAR,        -- who was asked, as in responses
    keys VARCHAR[],          -- responses.key of each request; its name in the job begins with it
    status VARCHAR,          -- submitting, submitted, cancelling, collected, cancelled, failed
    run VARCHAR,
    created TIMESTAMP,       -- UTC
    requests VARCHAR[],      -- canonical JSON of each request; NULL once the job is over
    most DOUBLE              -- the most that it can cost, in US dollars
);


-- one row a verdict
CREATE OR REPLACE VIEW verdicts AS
    SELECT run, item, task, model, sample, response, judge, 'contextual' AS question, contextual AS label,
           contextual_status AS status, contextual_reason AS reason, contextual_raw AS raw FROM rows
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'intrinsic', intrinsic,
           intrinsic_status, intrinsic_reason, intrinsic_raw FROM rows
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'thoughts', thoughts, thoughts_status, thoughts_reason, ''
    FROM rows WHERE thoughts_status <> ''
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'beside_contextual', beside_contextual, beside_status, beside_reason, ''
    FROM rows WHERE beside_status <> ''
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'beside_intrinsic', beside_intrinsic, beside_status, beside_reason, ''
    FROM rows WHERE beside_status <> '';
