#!/bin/sh
# Runs an unpacked image as a pod would: another user, a read-only root, no network but loopback. Prints how each
# stage of a release ended: `test 0`, `migrate 0`, `journeys 1`. Usage: unshare --mount --net try.sh ROOT
set -eu
root=$1

mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
mkdir -m 1777 "$root/dev/shm"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/urandom" c 1 9
mount -t proc proc "$root/proc"
ip link set lo up

as_pod() {
    chroot --userspec=10001:10001 "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin \
        PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 TMPDIR=/tmp HOME=/tmp PORT=8123 GOLIVE_URL=http://127.0.0.1:8123 \
        SECRET_KEY=only-for-this-test-run DATABASE_PATH=/tmp/app.sqlite3 STRIPE_WEBHOOK_SECRET=whsec_only-for-this-test-run \
        sh -c "cd /app && $1"
}

stage() {
    ended=0
    as_pod "$2" >&2 || ended=$?
    echo "$1 $ended"
}

stage test 'pytest -q'
stage migrate 'python -c "from app import init_db; init_db()"'
if [ "$ended" = 0 ]; then
    as_pod 'echo $$ >/tmp/pid; exec gunicorn -c gunicorn.conf.py app:app' >&2 &
    gunicorn=$!
    stage journeys 'python smoke/journeys.py'
    stage reminders 'python scripts/send_reminders.py'
    kill -TERM "$(cat "$root/tmp/pid")"
    ended=0
    wait "$gunicorn" || ended=$?
    echo "stop $ended"
fi
