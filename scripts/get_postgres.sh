#!/bin/sh
# Finds or installs PostgreSQL's programs for the tests. Debian's package, as root; elsewhere it says what to do.
# No server is left running: the tests start their own, as a normal user, on loopback.
# Exit 0 also without: those tests then skip with a clear line (and fail where CI is set).
set -u
for found in "$(command -v pg_ctl || true)" /usr/lib/postgresql/*/bin/pg_ctl; do
    if [ -n "$found" ] && [ -x "$found" ]; then
        echo "callreel: database tests use $(dirname "$found")"
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "callreel: installing PostgreSQL for the tests (Debian package, about 60 MB)"
    log=$(mktemp)
    # The package would start a server of its own on the usual port.
    mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    if apt-get update -qq >"$log" 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >>"$log" 2>&1; then
        exit 0
    fi
    tail -n 5 "$log"
fi
echo "callreel: no PostgreSQL found; the tests that need it will be skipped. Install the package postgresql."
