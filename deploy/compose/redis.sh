#!/bin/sh
# A Redis with the password of the secrets: redis.sh [--OPTION VALUE ...]. With REPLICA_OF=HOST it begins as the copy of
# another one. Sentinel writes into $DATA/redis.conf who is the primary, so that file is made only once.
set -eu
data=${DATA:-/data}
secrets=${SECRETS:-/run/secrets}
runtime=${RUNTIME:-/tmp}
umask 077

if [ ! -e "$data/redis.conf" ]; then
  {
    echo "dir \"$data\""
    [ -z "${REPLICA_OF:-}" ] || echo "replicaof $REPLICA_OF ${PRIMARY_PORT:-6379}"
    [ -z "${ANNOUNCE:-}" ] || echo "replica-announce-ip $ANNOUNCE"
  } > "$data/redis.conf"
fi
# In a file: the arguments of a process are no secret.
password=$(cat "$secrets/redis_password")
printf 'requirepass "%s"\nmasterauth "%s"\n' "$password" "$password" > "$runtime/redis-password.conf"
exec redis-server "$data/redis.conf" --include "$runtime/redis-password.conf" "$@"
