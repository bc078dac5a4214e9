"""The static leaderboard: folders of runs in, a site that opens from `file://` out.

`loading` reads and verifies runs, `boards` puts those that may be compared side by side, `ranking`
ranks them, `drilldown` collects what one problem's page shows, `pages` renders, `site` writes.
What models and data files hold is hostile: it leaves `text` spelt out and reaches a page as text
only.
"""
