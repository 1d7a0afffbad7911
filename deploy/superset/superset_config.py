"""Superset's configuration, for the embedded stack and the containers; paths come from the environment."""

import json
import os

SECRET_KEY = os.environ["CILAKE_SUPERSET_SECRET_KEY"]
GUEST_TOKEN_JWT_SECRET = os.environ["CILAKE_SUPERSET_GUEST_SECRET"]
SQLALCHEMY_DATABASE_URI = os.environ["CILAKE_SUPERSET_DATABASE_URI"]

APP_NAME = "cilake"
FAB_INDEX_VIEW = "start_page.StartView"
WTF_CSRF_ENABLED = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = os.environ.get("CILAKE_SUPERSET_HTTPS") == "1"
PREVENT_UNSAFE_DB_CONNECTIONS = True
# Tables change once a night; every dashboard says how old its data is.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 60, "CACHE_THRESHOLD": 500}
FILTER_STATE_CACHE_CONFIG = EXPLORE_FORM_DATA_CACHE_CONFIG = {
    "CACHE_TYPE": "SupersetMetastoreCache",
    "CACHE_DEFAULT_TIMEOUT": 7 * 86400,
    "REFRESH_TIMEOUT_ON_RETRIEVAL": True,
}
ROW_LIMIT = 10_000
SQL_MAX_ROW = 100_000
# Seconds: on two cores that everything shares, twenty charts that are requested at once may take their time.
SQLLAB_TIMEOUT = SUPERSET_WEBSERVER_TIMEOUT = 300
# Datasets of weeks widen a range of days to whole weeks, and links are plain addresses in downloads.
FEATURE_FLAGS = {"ENABLE_TEMPLATE_PROCESSING": True, "ALERT_REPORTS": False}
DOWNLOADS = ("csv", "xlsx")


def answer_format():
    """Return ``plain`` when the request under way is for a file, and ``html`` when it is for a page."""
    from flask import has_request_context, request

    if not has_request_context():
        return "html"
    question = request.get_json(silent=True) or json.loads(request.form.get("form_data") or "{}")
    wanted = request.args.get("format") or question.get("result_format")
    return "plain" if wanted in DOWNLOADS else "html"


def link(url, text, form):
    """Return the SQL of a link to the address in the column ``url``, shown as ``text``.

    Both are SQL expressions. In a page the link is an anchor; anything but a plain address gives its text,
    and markup in the text is shown, not followed. In a file it is the address. Charts call it with
    ``cache_key_wrapper(answer_format())``, so that Superset caches results for pages and files separately.
    """
    if form == "plain":
        return f"coalesce({url}, {text})"
    shown = f"replace(replace({text}, '&', '&amp;'), '<', '&lt;')"
    anchor = f"""'<a href="' || {url} || '" target="_blank" rel="noopener">' || {shown} || '</a>'"""
    return f"""case when regexp_like({url}, '^https?://[^"<>\\s]+$') then {anchor} else {shown} end"""


JINJA_CONTEXT_ADDONS = {"answer_format": answer_format, "link": link}

# Nothing is fetched from or sent to anybody else: no telemetry pixel, no map tiles, no fonts.
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": SESSION_COOKIE_SECURE,
}


def keep_own_limits():
    """Keep the limit of a statement in SQL Lab where it is the smaller one.

    Superset 6.1 forgets it between finding it and the query (apache/superset issue 40070).
    """
    from superset import sql_lab

    limit_rows = sql_lab.apply_limit

    def apply_limit(query, statement):
        own = statement.get_limit_value()
        if own is None or own > min(query.limit or SQL_MAX_ROW, SQL_MAX_ROW):
            limit_rows(query, statement)

    sql_lab.apply_limit = apply_limit


def FLASK_APP_MUTATOR(app):
    """Give new users the saved queries, and allow what the login page reports when it opens.

    A refusal would set a visitor's cookie, and a login that is under way at that instant would be lost.
    """
    import saved_queries
    from flask import request, session

    keep_own_limits()

    with app.app_context():
        saved_queries.give_to_new_users()

    @app.before_request
    def accept_events_of_visitors():
        # Looking up the user would set the cookie, too.
        if request.path == "/superset/log/" and "_user_id" not in session:
            return "", 204
        return None
