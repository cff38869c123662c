#!/bin/sh
# Finds or installs a Chromium for the browser tests. Debian's package, as root; elsewhere it says what to do.
# Exit 0 also without one: the tests then skip with a clear line (and fail where CI is set).
set -u
# chromium-headless-shell is the part without windows: the tests take half the processor time with it.
for found in "${CALLREEL_TEST_CHROMIUM:-}" "$(command -v chromium-headless-shell || true)" "$(command -v chromium || true)"; do
    if [ -n "$found" ] && [ -x "$found" ]; then
        echo "callreel: browser tests use $found"
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "callreel: installing Chromium for the browser tests (Debian package, about 220 MB)"
    log=$(mktemp)
    if apt-get update -qq >"$log" 2>&1 && apt-get install -y -qq --no-install-recommends chromium-headless-shell >>"$log" 2>&1; then
        exit 0
    fi
    tail -n 5 "$log"
fi
echo "callreel: no Chromium found; the browser tests will be skipped. Install the package chromium-headless-shell, or set CALLREEL_TEST_CHROMIUM to a path."
