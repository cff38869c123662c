#!/bin/sh
# Checks, tests and builds ui/ into src/callreel/web/static/built. The built files are in git and in the wheel, so only
# who changes ui/ needs npm. Without npm it says so and leaves them as they are.
set -eu
cd "$(dirname "$0")/../ui"
if ! command -v npm >/dev/null; then
    echo "callreel: npm is not here; the pages use the built files that came with the source. To change ui/, install Node.js 20.19 or newer."
    exit 0
fi
echo "callreel: ui, its tools"
npm ci --no-audit --no-fund --loglevel=error
echo "callreel: ui, types and tests"
npm run --silent check
npm test --silent
echo "callreel: ui, build"
npm run --silent build
