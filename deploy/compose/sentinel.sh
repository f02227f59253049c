#!/bin/sh
# A Sentinel that watches the primary at host $PRIMARY, of which at least two must agree that it is down. What they agreed
# on is kept in $DATA/sentinel.conf, which is made only once.
set -eu
data=${DATA:-/data}
secrets=${SECRETS:-/run/secrets}
umask 077

if [ ! -e "$data/sentinel.conf" ]; then
  password=$(cat "$secrets/redis_password")
  cat > "$data/sentinel.conf" << CONF
port ${PORT:-26379}
dir "$data"
requirepass "$password"
sentinel sentinel-pass "$password"
# Containers get new addresses when they are made anew; their names stay.
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip ${ANNOUNCE}
sentinel monitor trunkline ${PRIMARY} ${PRIMARY_PORT:-6379} 2
sentinel auth-pass trunkline "$password"
sentinel down-after-milliseconds trunkline 3000
sentinel failover-timeout trunkline 30000
sentinel parallel-syncs trunkline 1
CONF
fi
exec redis-server "$data/sentinel.conf" --sentinel
