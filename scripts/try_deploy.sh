#!/bin/sh
# Tries what docs/deploy.md describes, without an image registry: a Debian root from packages becomes the base image, the
# image is built and started as the compose file starts it, and nginx passes pages, events and media sockets on.
# As root, on Debian:  apt-get install mmdebstrap buildah podman crun netavark nginx-light && sh scripts/try_deploy.sh
# Everything is made below one folder (default: a new one in /tmp), podman's images too.
set -eu
cd "$(dirname "$0")/.."
for tool in mmdebstrap buildah podman crun nginx openssl curl; do
    command -v "$tool" >/dev/null || { echo "try_deploy: $tool is missing; see the head of this script" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "try_deploy: run it as root, for mmdebstrap and chroot" >&2; exit 1; }
# crun refuses machines that mount both versions of control groups: here the containers see version 2 alone.
if [ -d /sys/fs/cgroup/unified ]; then
    exec unshare --mount --propagation private \
        sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec sh scripts/try_deploy.sh "$@"' try_deploy "$@"
fi
work=${1:-$(mktemp -d)}
mkdir -p "$work"
storage="--root $work/storage --runroot $work/run --storage-driver vfs"
name=callreel-try-$$
nginx_conf=$work/nginx.conf

finish() {
    podman $storage rm --force --time 5 "$name" >/dev/null 2>&1 || true
    [ ! -f "$work/nginx.pid" ] || kill "$(cat "$work/nginx.pid")" 2>/dev/null || true
}
trap finish EXIT

say() { echo "try_deploy: $*"; }

if [ ! -d "$work/wheels" ]; then
    say "packages, from this machine's index"
    python3 -m pip wheel --quiet --disable-pip-version-check --constraint constraints.txt --wheel-dir "$work/wheels.part" . hatchling
    rm -f "$work"/wheels.part/callreel-*
    mv "$work/wheels.part" "$work/wheels"
fi
printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$work/pip.conf"

if [ ! -f "$work/base.tar" ]; then
    say "a Debian root with Python"
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,passwd bookworm "$work/base.tar"
fi
base=$(buildah $storage from scratch)
buildah $storage add --quiet "$base" "$work/base.tar" / >/dev/null
buildah $storage commit --quiet --rm "$base" localhost/base >/dev/null

say "the image"
buildah $storage build --quiet --format docker --isolation chroot --build-arg BASE=localhost/base --pull=never \
    --volume "$work/wheels:/wheels:ro" --volume "$work/pip.conf:/etc/pip.conf:ro" \
    --file deploy/Containerfile --tag localhost/callreel . >"$work/image"
podman $storage image inspect --format 'try_deploy: image of {{.Size}} bytes, user {{.User}}' localhost/callreel

# Limits below podman's defaults, which a machine without CAP_SYS_RESOURCE cannot set.
limits="--ulimit nofile=$(ulimit -Hn) --ulimit nproc=4096"
as_composed="--network host --cgroups disabled $limits --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges"
say "a demo call in it, with a read-only root"
podman $storage run --rm --no-healthcheck $as_composed localhost/callreel demo --once

say "the server in it, behind nginx"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
tls=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
account="TWILIO_ACCOUNT_SID=AC00000000000000000000000000000000 TWILIO_AUTH_TOKEN=$(openssl rand -hex 16)"
podman $storage run --detach --name "$name" $as_composed \
    $(for one in $account; do printf ' --env %s' "$one"; done) \
    --env CALLREEL_HOST=127.0.0.1 --env CALLREEL_PORT="$port" --env CALLREEL_TRUSTED_PROXIES=127.0.0.1 \
    --env CALLREEL_PUBLIC_URL="https://localhost:$tls" localhost/callreel serve >/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
{
    echo "pid $work/nginx.pid; error_log $work/nginx.log; events {} http { access_log off;"
    sed -e "s#listen 443 ssl#listen 127.0.0.1:$tls ssl#" -e "s#calls.example.com;#localhost;#" \
        -e "s#ssl_certificate  .*#ssl_certificate $work/cert.pem;#" -e "s#ssl_certificate_key .*#ssl_certificate_key $work/key.pem;#" \
        -e "s#127.0.0.1:8000#127.0.0.1:$port#" deploy/nginx.conf
    echo "}"
} >"$nginx_conf"
nginx -q -t -c "$nginx_conf"
nginx -c "$nginx_conf"
url=https://localhost:$tls
for _ in $(seq 120); do
    curl --silent --fail --cacert "$work/cert.pem" "$url/health/ready" >/dev/null && break
    sleep 1
done
curl --silent --fail --cacert "$work/cert.pem" "$url/health/ready" >/dev/null || { podman $storage logs "$name"; exit 1; }
[ "$(podman $storage exec "$name" id -u)" = 10001 ] || { say "the server runs as another user"; exit 1; }
! podman $storage exec "$name" sh -c 'echo x > /opt/callreel/x' 2>/dev/null || { say "the root is not read-only"; exit 1; }

# The doctor sends signed requests to the public address and opens the media socket there: through TLS and nginx.
# The invented account is its only failure.
podman $storage exec --env SSL_CERT_FILE=/tmp/cert.pem --interactive "$name" sh -c 'cat > /tmp/cert.pem && callreel doctor' \
    <"$work/cert.pem" >"$work/doctor" || true
grep -i 'socket\|signed\|voice\|callback' "$work/doctor" || true
say "done; what it made is in $work"
