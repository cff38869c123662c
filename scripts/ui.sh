#!/bin/sh
# Checks, tests and builds ui/ into src/callreel/web/static/built. The built files are in git and in the wheel, so npm is
# needed only to change ui/. Without npm this prints a message and exits.
set -eu
cd "$(dirname "$0")/../ui"
if ! command -v npm >/dev/null; then
    echo "callreel: npm is not installed; using the built files of the source tree. To change ui/, install Node.js 20.19 or newer."
    exit 0
fi
echo "callreel: ui, installing tools"
npm ci --no-audit --no-fund --loglevel=error
echo "callreel: ui, types and tests"
npm run --silent check
npm test --silent
echo "callreel: ui, build"
npm run --silent build
