-- What became of all interactions and impressions, in one row of counts, over the views.
SELECT counted.*, everything.named - counted.interactions AS interactions_again, attribution.*, shown.*, merged.*
FROM (
    SELECT count(*) AS interactions,
           count(*) FILTER (WHERE grade IS NULL) AS ungraded,
           count(*) FILTER (WHERE grade IS NOT NULL AND request IS NULL) AS without_request,
           count(*) FILTER (WHERE grade IS NOT NULL AND request IS NOT NULL AND asked IS NULL) AS unknown_request,
           count(*) FILTER (WHERE grade IS NOT NULL AND ts > asked + {window}) AS late,
           count(*) FILTER (WHERE grade IS NOT NULL AND ts < asked) AS early
    FROM (
        SELECT e.request, e.ts, g.grade, a.ts AS asked
        FROM interaction e
        LEFT JOIN grades g ON e.action = g.action
        LEFT JOIN asked a ON e.request = a.request
    )
) counted
CROSS JOIN (SELECT count(*) AS named FROM events WHERE event = 'interaction') everything
CROSS JOIN (SELECT count(*) AS attributed FROM attributed) attribution
CROSS JOIN (
    SELECT count(*) AS shown,
           count(*) FILTER (WHERE asked IS NULL) AS shown_unknown_request,
           count(*) FILTER (WHERE ts > asked + {window}) AS shown_late
    FROM (SELECT i.ts, a.ts AS asked FROM impression i LEFT JOIN asked a ON i.request = a.request)
) shown
CROSS JOIN (SELECT coalesce(sum(times - 1), 0) AS shown_again FROM placed) merged
