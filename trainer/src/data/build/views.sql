-- What is known of requests, impressions and interactions.
-- Tables: `rows` (logged candidates of any surface), `events`, `grades` (action, grade).
-- Settings: {window} is the label's, in milliseconds, {touch} is DESC for the last touch and ASC for the first,
-- {assumed} adds candidates that count as shown without an impression.

CREATE VIEW asked AS
SELECT request, min("user") AS "user", min(surface) AS surface, min(ts) AS ts
FROM (
    SELECT request, "user", surface, ts FROM rows WHERE "row" = 0
    UNION ALL
    SELECT id AS request, "user", surface, ts FROM events WHERE event = 'request'
)
GROUP BY request;

CREATE VIEW impression AS
SELECT request, ts, s['item'] AS item, s['position'] AS position, s['propensity'] AS propensity
FROM (SELECT request, ts, unnest(shown(shown)) AS s FROM events WHERE event = 'impression');

-- Impressions of one item within the window are one; the first says where it stood.
CREATE VIEW placed AS
SELECT i.request, i.item,
       first_value(i.position ORDER BY i.ts, i.position) AS position,
       first_value(i.propensity ORDER BY i.ts, i.position) AS propensity,
       count(*) AS times
FROM impression i JOIN asked a ON i.request = a.request
WHERE i.ts <= a.ts + {window}
GROUP BY i.request, i.item;

-- An interaction that came twice, such as before and after midnight, is one.
CREATE VIEW interaction AS
SELECT DISTINCT id, request, "user", item, surface, ts, action FROM events WHERE event = 'interaction';

CREATE VIEW graded AS
SELECT e.id, e.request, e."user", e.item, e.surface, e.ts, g.grade
FROM interaction e JOIN grades g ON e.action = g.action;

CREATE VIEW touch AS
SELECT a."user", i.item, a.surface, i.request, i.ts, a.ts AS asked
FROM impression i JOIN asked a ON i.request = a.request
{assumed};

-- An interaction that names no request belongs to one that had shown the item to the user in time.
CREATE VIEW attributed AS
SELECT first_value(t.request ORDER BY t.ts {touch}, t.request {touch}) AS request, g.item, g.ts, g.grade
FROM (SELECT * FROM graded WHERE request IS NULL) g
JOIN touch t ON g."user" = t."user" AND g.item = t.item
WHERE t.ts <= g.ts AND g.ts <= t.asked + {window} AND (g.surface IS NULL OR g.surface = t.surface)
GROUP BY g.id, g.item, g.ts, g.grade;

CREATE VIEW done AS
SELECT d.request, d.item, d.grade
FROM (
    SELECT request, item, ts, grade FROM graded WHERE request IS NOT NULL
    UNION ALL
    SELECT request, item, ts, grade FROM attributed
) d
JOIN asked a ON d.request = a.request
WHERE d.ts >= a.ts AND d.ts <= a.ts + {window};

-- For each item of each request: whether it was shown, where, and the highest grade of what was done with it in time.
CREATE VIEW label AS
SELECT a.ts, k.request, k.item, bool_or(k.shown) AS shown, max(k.position) AS position,
       max(k.propensity) AS propensity, max(k.grade) AS grade
FROM (
    SELECT request, item, true AS shown, position, propensity, CAST(NULL AS INT UNSIGNED) AS grade FROM placed
    UNION ALL
    SELECT request, item, false AS shown, CAST(NULL AS INT UNSIGNED) AS position, CAST(NULL AS DOUBLE) AS propensity, grade
    FROM done
) k
JOIN asked a ON k.request = a.request
WHERE a.surface = {surface}
GROUP BY a.ts, k.request, k.item;
